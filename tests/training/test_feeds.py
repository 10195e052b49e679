import numpy as np
import pytest
import torch

from unspool.codecs.corpus import Corpus
from unspool.training import Documents, Pieces, RunningText

BEGIN = 2


@pytest.fixture
def running(tmp_path):
    corpus = Corpus(tmp_path, "r", 1000).write([np.arange(100, 203)], joined=True)
    yield corpus
    corpus.close()


@pytest.fixture
def documents(tmp_path):
    rng = np.random.default_rng(0)
    corpus = Corpus(tmp_path, "d", 100_000).write(np.append(np.full(rng.integers(1, 30), i + 10), 3) for i in range(300))
    yield corpus
    corpus.close()


def test_running_text_is_read_once_and_in_order(running):
    batches = list(RunningText(running, lanes=2, window=10).epoch(-1))
    assert [b.fresh for b in batches] == [True] + [False] * (len(batches) - 1)
    lanes = torch.cat([b.targets for b in batches], 1)
    assert lanes.flatten().tolist() == list(range(100, 202))  # the odd symbol at the end of 103 waits for another epoch
    inputs = torch.cat([b.inputs for b in batches], 1)
    assert inputs[0, 0] == BEGIN
    assert torch.equal(inputs[:, 1:], lanes[:, :-1])
    assert inputs[1, 0] == lanes[1, 0] - 1


def test_an_epoch_can_be_taken_up_in_the_middle(running, documents):
    for feed in (RunningText(running, 2, 10), Documents(documents, 200)):
        whole, rest = list(feed.epoch(3)), list(feed.epoch(3, start=2))
        assert len(rest) == len(whole) - 2
        assert all(torch.equal(a.targets, b.targets) for a, b in zip(whole[2:], rest, strict=True))


def test_every_epoch_differs(running, documents):
    for feed in (RunningText(running, 2, 10), Documents(documents, 200)):
        firsts = {tuple(next(feed.epoch(number)).targets.flatten().tolist()) for number in range(8)}
        assert len(firsts) > 3


def test_documents_come_whole_from_begin_to_end(documents):
    feed, found = Documents(documents, 200), {}
    for batch in feed.epoch(0):
        assert batch.fresh
        assert batch.inside.sum() == batch.counted
        assert batch.targets.numel() <= 200 + 31
        for before, after, length in zip(batch.inputs, batch.targets, batch.lengths, strict=True):
            assert before[0] == BEGIN
            assert after[length - 1] == 3
            assert torch.equal(before[1:length], after[: length - 1])
            found[int(after[0])] = int(length)
    assert len(found) == 300
    assert sum(found.values()) == documents.symbols == feed.symbols


def test_a_long_document_is_cut_with_its_context(tmp_path):
    corpus = Corpus(tmp_path, "l", 100).write([np.arange(10, 35)])
    rows = [
        (b.inputs[i, :n], b.targets[i, :n]) for b in Documents(corpus, 1000, longest=10).epoch(-1) for i, n in enumerate(b.lengths)
    ]
    pieces = sorted(rows, key=lambda row: int(row[1][0]))
    assert [int(inputs[0]) for inputs, _ in pieces] == [BEGIN, 19, 29]
    assert sorted(int(t) for _, targets in pieces for t in targets) == list(range(10, 35))
    corpus.close()


class Numbers:
    """Pieces whose steps count up from 100 times their number; a variant is added to them."""

    def __init__(self, *lengths):
        self.lengths = np.array(lengths)

    def read(self, piece, start, stop, variant):
        ids = np.arange(start - 1, stop) + 100 * piece + (variant or 0)
        return np.where(np.arange(start - 1, stop) < 0, BEGIN, ids)

    def vary(self, piece, rng):
        return int(rng.integers(1000, 2000))


def test_pieces_are_each_read_once_with_their_state():
    feed = Pieces(Numbers(25, 7, 30, 12, 1), lanes=2, window=10)
    assert feed.symbols == 75
    assert feed.full == 20  # two lanes of ten steps
    read, rows = {}, []
    for batch in feed.epoch(-1):
        rows = list(range(len(batch.inputs))) if batch.fresh else rows[: len(batch.inputs)]
        state = (torch.arange(5).float().view(1, 5, 1),)
        assert batch.start(state) is None if batch.fresh else len(batch.start(state)[0][0]) == len(batch.inputs)
        for inputs, targets, length in zip(batch.inputs, batch.targets, batch.lengths.tolist(), strict=True):
            first = int(targets[0])
            assert (int(inputs[0]) == BEGIN) is bool(batch.fresh)
            assert batch.fresh or int(inputs[0]) == first - 1
            assert torch.equal(inputs[1:length], targets[: length - 1])
            read.setdefault(first // 100, []).extend(targets[:length].tolist())
    assert read == {i: list(range(100 * i, 100 * i + n)) for i, n in enumerate((25, 7, 30, 12, 1))}


def test_pieces_vary_by_epoch_and_are_the_same_for_a_seed():
    feed = Pieces(Numbers(25, 7, 30, 12, 1), lanes=2, window=10, seed=4)
    whole = list(feed.epoch(3))
    again, rest, other = list(feed.epoch(3)), list(feed.epoch(3, start=2)), list(feed.epoch(4))
    assert all(torch.equal(a.targets, b.targets) for a, b in zip(whole, again, strict=True))
    assert all(torch.equal(a.targets, b.targets) for a, b in zip(whole[2:], rest, strict=True))
    assert not torch.equal(whole[0].targets, other[0].targets)
    assert sum(b.counted for b in whole) == sum(b.counted for b in other) == 75
    group = [b.targets[0, 0].item() for b in whole[:3] if b.targets[0, 0] >= 1000]
    assert group, "a piece is moved by its variant"

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from unspool.sequences import Sequences, batches_by_length, mask


def test_collating_and_taking_apart():
    items = [torch.tensor([1, 2, 3]), torch.tensor([4]), torch.tensor([5, 6])]
    batch = Sequences.collate(items)
    assert batch.values.tolist() == [[1, 2, 3], [4, 0, 0], [5, 6, 0]]
    assert len(batch) == 3
    assert all(torch.equal(a, b) for a, b in zip(batch, items, strict=True))


def test_frames_keep_their_shape():
    batch = Sequences.collate([np.zeros((2, 4, 3), np.float32), np.ones((5, 4, 3), np.float32)])
    assert batch.values.shape == (2, 5, 4, 3)


def test_mask():
    assert mask(torch.tensor([2, 0]), 3).tolist() == [[True, True, False], [False, False, False]]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 200), st.booleans())
def test_every_sequence_is_in_one_batch_of_bounded_size(lengths, symbols, shuffled):
    batches = batches_by_length(lengths, symbols, np.random.default_rng(0) if shuffled else None)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= symbols

"""Exact resume, early stopping, interruption, and a loss that is no number."""

import math
import os
import signal

import pytest
import torch

from unspool.codecs.corpus import Corpus
from unspool.errors import ConfigError, TrainingError
from unspool.layers import Recurrent
from unspool.models import language_model
from unspool.training import ModelFolder, Options, Progress, RunningText, fit, pick_device


class Job:
    """A small language model over a running text of numbers; `after(step)` is called at each step."""

    unit, per_symbol = "nats", 1.0

    def __init__(self, corpus, after=lambda job, step: None):
        torch.manual_seed(3)
        self.model = language_model(12, Recurrent("gru", 6, 8), embedding=6, dropout=0.3)
        self.feed, self.after, self.steps = RunningText(corpus, 4, 10, seed=1), after, 0
        self.baselines = {"uniform": math.log(12)}
        self.scale = 1.0

    def loss(self, batch, carry):
        self.steps += 1
        self.after(self, self.steps)
        nll, state = self.model.nll(batch.inputs, batch.targets, None if batch.fresh else carry)
        return nll.sum() * self.scale, batch.counted, tuple(s.detach() for s in state)

    def validate(self):
        batches = list(self.feed.epoch(-1))
        return sum(float(self.model.nll(b.inputs, b.targets)[0].sum()) for b in batches) / sum(b.counted for b in batches)

    def sample(self):
        return ""


@pytest.fixture
def corpus(tmp_path):
    made = Corpus(tmp_path, "c", 12).write([torch.randint(4, 12, (900,)).numpy()], joined=True)
    yield made
    made.close()


def run(job, path, resume=False, **options):
    folder = ModelFolder(path)
    if not resume:
        folder.create({})
    return fit(job, Options(**{"epochs": 3, "warmup": 5, **options}), folder, Progress("silent"), resume=resume), folder


def interrupt(at):
    return lambda job, step: os.kill(os.getpid(), signal.SIGINT) if step == at else None


@pytest.mark.parametrize("at", [1, 17, 40])
def test_a_resumed_training_gives_the_same_numbers(corpus, tmp_path, at):
    whole, folder = run(Job(corpus), tmp_path / "whole")
    part, broken = run(Job(corpus, interrupt(at)), tmp_path / "part")
    assert (part.ended, part.steps) == ("interrupted", at)
    assert broken.trained
    rest, resumed = run(Job(corpus), tmp_path / "part", resume=True)
    assert rest.ended == whole.ended == "finished"
    assert rest.steps == whole.steps

    def numbers(outcome):
        return [(h["step"], h["valid"]) for h in outcome.history if h["step"] != at]

    assert numbers(rest) == numbers(whole)
    assert all(
        torch.equal(a, b)
        for a, b in zip(folder.load_tensors("model")[0].values(), resumed.load_tensors("model")[0].values(), strict=True)
    )


def test_the_best_model_is_kept_and_training_stops_early(corpus, tmp_path):
    job, values = Job(corpus), iter([2.0, 1.5, 1.7, 1.6, 1.8, 1.9, 1.9])
    job.validate = lambda: next(values)  # type: ignore[method-assign]
    outcome, folder = run(job, tmp_path / "m", patience=3)
    assert (outcome.ended, outcome.best) == ("early", 1.5)
    assert folder.load_tensors("model")[1]["nats"] == 1.5


def test_of_weights_that_validate_equally_well_the_later_are_kept(corpus, tmp_path):
    def outcome(slack, name):
        job = Job(corpus)
        job.slack = slack
        worse = iter(range(100))
        job.validate = lambda: 1 + 0.01 * next(worse)  # each is a little worse than the one before
        return run(job, tmp_path / name, validations=5)

    first, _ = outcome(0.0, "a")
    later, folder = outcome(0.1, "b")
    assert first.best == 1
    assert later.best > 1
    assert later.best == max(row["valid"] for row in later.history)
    assert int(folder.load_tensors("model")[1]["step"]) == later.history[-1]["step"]


def test_a_loss_that_is_no_number_stops_and_keeps_the_best(corpus, tmp_path):
    def burst(job, step):
        job.scale = math.nan if step == 30 else 1.0

    with pytest.raises(
        TrainingError, match=r"became nan at step 30; the best model, of step \d+, is kept .* smaller learning rate"
    ):
        run(Job(corpus, burst), tmp_path / "m")
    assert ModelFolder(tmp_path / "m").trained
    with pytest.raises(TrainingError, match="step 1; nothing was saved yet"):
        run(Job(corpus, lambda job, step: setattr(job, "scale", math.inf)), tmp_path / "n")


def test_a_budget_in_time_ends(corpus, tmp_path):
    outcome, folder = run(Job(corpus), tmp_path / "m", epochs=None, budget=0.5)
    assert outcome.ended == "finished"
    assert 0.5 <= outcome.seconds < 20
    assert folder.trained


def test_it_learns(corpus, tmp_path):
    outcome, _ = run(Job(corpus), tmp_path / "m", epochs=6, learning_rate=1e-2)
    assert outcome.best < math.log(12) - 0.2  # only 8 of the 12 symbols occur


def test_devices():
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(ConfigError, match="'quantum' cannot be used here"):
        pick_device("quantum")


def test_a_batch_of_fewer_steps_than_a_full_one_weighs_less(corpus, tmp_path):
    """With plain gradient norms far below the clip, the first moments tell how large the gradients were."""
    moments = []
    for name, full in (("a", 0), ("b", 400)):
        job = Job(corpus)
        job.feed.full = full
        job.feed.symbols = 40
        run(job, tmp_path / name, epochs=0.5, clip=1e9)
        tensors = ModelFolder(tmp_path / name).load_tensors("training")[0]
        moments.append(tensors["optimizer.0.exp_avg"])
    assert torch.allclose(moments[1] * 10, moments[0], rtol=1e-2, atol=1e-6)  # batches have 40 steps

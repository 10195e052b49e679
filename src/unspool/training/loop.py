"""The one training loop, for every task."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from unspool.errors import ConfigError, TrainingError
from unspool.training.folder import ModelFolder, weights
from unspool.training.progress import Progress, Report
from unspool.training.schedule import Options, learning_rate

__all__ = ["Job", "Outcome", "fit", "pick_device"]

Carry = tuple[Tensor, ...] | None


class Feed(Protocol):
    """Where batches come from. `symbols` is how many targets an epoch has; a batch of fewer than `full` weighs that much less."""

    symbols: int
    full: int

    def epoch(self, number: int, start: int = 0) -> Iterator[Any]: ...


class Job(Protocol):
    """What a task gives the loop.

    It may also have `slack`, the standard error of what it last validated: of weights that validate equally well to that, the
    later are kept. With few examples the least of twenty validations is chance.
    """

    @property
    def model(self) -> nn.Module: ...

    feed: Feed
    unit: str  # of the loss shown, as "nats per character"
    per_symbol: float  # multiplies nats per symbol into that unit
    baselines: dict[str, float]  # in that unit, on the validation part

    def loss(self, batch: Any, carry: Carry) -> tuple[Tensor, int, Carry]:
        """The summed loss of a batch in nats, how many symbols it counts, and the state to carry into the next batch."""
        ...

    def validate(self) -> float:
        """The loss on the validation part, in the unit; lower is better."""
        ...

    def sample(self) -> str:
        """Something to look at while training goes on."""
        ...


@dataclass
class _Place:
    """Where training stands: all that resuming needs besides tensors."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    elapsed: float = 0.0
    seen: int = 0
    validations: int = 0
    best: float = math.inf
    kept: float = math.inf  # the loss of the weights that are kept
    best_step: int = 0
    since_best: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """How training ended (`"finished"`, `"early"` for no more improvement, or `"interrupted"`), and the validation loss of the
    weights that are kept."""

    ended: str
    best: float
    steps: int
    epochs: float
    seconds: float
    symbols: int
    history: list[dict[str, float]]


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one; ConfigError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); try cpu") from error
    return device


def fit(job: Job, options: Options, folder: ModelFolder, progress: Progress, *, resume: bool = False) -> Outcome:
    """Trains until the budget is spent, improvement ends, or Ctrl-C; the folder then holds the best weights by validation.

    Raises TrainingError when the loss is no longer a number, or nothing can be saved; what was saved before is kept.
    """
    return _Run(job, options, folder, progress, resume).go()


class _Run:
    def __init__(self, job: Job, options: Options, folder: ModelFolder, progress: Progress, resume: bool):
        self.job, self.options, self.folder, self.progress = job, options, folder, progress
        self.device = next(job.model.parameters()).device
        self.place, self.carry = _Place(), None
        groups = [[p for p in job.model.parameters() if (p.ndim > 1) == matrix] for matrix in (True, False)]
        decays = zip(groups, (options.weight_decay, 0.0), strict=True)
        self.optimizer = torch.optim.AdamW(
            [{"params": g, "weight_decay": w} for g, w in decays if g], lr=options.learning_rate, betas=(0.9, 0.99), fused=True
        )
        torch.manual_seed(options.seed)
        if resume:
            self._restore()
        self.spent, self.began = self.place.elapsed, time.monotonic()
        self.loss_sum, self.loss_count, self.validating = 0.0, 0, 0.0

    def go(self) -> Outcome:
        with _interruptible() as interrupted:
            while True:
                for batch in self.job.feed.epoch(self.place.epoch, self.place.batch):
                    ended = self._ended(interrupted)
                    if ended:
                        return self._finish(ended)
                    self._step(batch)
                if self.place.batch == 0:
                    raise TrainingError("the training data gave no batch")
                self.place.epoch, self.place.batch = self.place.epoch + 1, 0

    def _done(self) -> float:
        """The share of the training that has passed."""
        self.place.elapsed = self.spent + time.monotonic() - self.began
        shares = [0.0]
        if self.options.budget:
            shares.append(self.place.elapsed / self.options.budget)
        if self.options.epochs:
            shares.append(self.place.seen / self.job.feed.symbols / self.options.epochs)
        return max(shares)

    def _ended(self, interrupted: threading.Event) -> str | None:
        done = self._done()
        if interrupted.is_set():
            return "interrupted"
        if done >= (self.place.validations + 1) / self.options.validations:
            self.place.validations = int(done * self.options.validations)
            if self.options.budget and self.validating > 0.1 * self.place.elapsed and done < 1:
                return None  # a short budget is for learning
            began = time.monotonic()
            self._validate()
            self._checkpoint()
            self.validating += time.monotonic() - began
            if self.place.since_best >= self.options.patience:
                return "early"
        return "finished" if done >= 1 else None

    def _step(self, batch: Any) -> None:
        place, model = self.place, self.job.model
        rate = learning_rate(self.options, place.step, self._done())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        model.train()
        mixed = self.device.type == "cuda" and torch.cuda.is_bf16_supported()  # float16 would need its losses scaled
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            loss, count, self.carry = self.job.loss(batch, self.carry)
        value = loss.item() / count
        if not math.isfinite(value):
            raise TrainingError(self._burst(value))
        self.optimizer.zero_grad()
        (loss / max(count, self.job.feed.full)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), self.options.clip)
        self.optimizer.step()
        place.step, place.batch, place.seen = place.step + 1, place.batch + 1, place.seen + count
        self.loss_sum, self.loss_count = self.loss_sum + loss.item(), self.loss_count + count
        self.progress.tick(lambda: self._report(None))

    def _burst(self, value: float) -> str:
        kept = (
            f"the best model, of step {self.place.best_step}, is kept in {self.folder.path}"
            if self.folder.trained
            else "nothing was saved yet"
        )
        return (
            f"the loss became {value} at step {self.place.step + 1}; {kept}. "
            f"Try a smaller learning rate (now {self.options.learning_rate:g}) or a smaller clip (now {self.options.clip:g})"
        )

    def _validate(self) -> None:
        place = self.place
        self.job.model.eval()
        with torch.inference_mode():
            valid = self.job.validate()
            sample = self.job.sample()
        if not math.isfinite(valid):
            raise TrainingError(self._burst(valid))
        if valid < place.best + getattr(self.job, "slack", 0.0):
            place.best, place.kept, place.best_step, place.since_best = min(place.best, valid), valid, place.step, 0
            self.folder.save_tensors("model", weights(self.job.model), {"step": place.step, self.job.unit: valid})
        else:
            place.since_best += 1
        train = self.loss_sum / max(1, self.loss_count) * self.job.per_symbol
        place.history.append({"step": place.step, "seconds": round(self._elapsed(), 2), "train": train, "valid": valid})
        self.progress.show(self._report(sample))
        self.loss_sum, self.loss_count = 0.0, 0

    def _elapsed(self) -> float:
        return self.spent + time.monotonic() - self.began

    def _report(self, sample: str | None) -> Report:
        place, done = self.place, self._done()
        last = place.history[-1] if place.history else {}
        train = self.loss_sum / self.loss_count * self.job.per_symbol if self.loss_count else last.get("train", math.nan)
        return Report(
            done=min(1.0, done),
            seconds=place.elapsed,
            left=place.elapsed * max(0.0, 1 / done - 1) if done > 0 else math.nan,
            step=place.step,
            epoch=place.seen / self.job.feed.symbols,
            speed=place.seen / max(1e-9, place.elapsed),
            unit=self.job.unit,
            train=train,
            valid=last.get("valid", math.nan),
            best=place.best,
            baselines=self.job.baselines,
            sample=sample,
        )

    def _finish(self, ended: str) -> Outcome:
        place = self.place
        if ended == "interrupted":
            if not self.folder.trained:
                self._validate()
            self._checkpoint()
        elif place.best is math.inf:
            self._validate()
        return Outcome(ended, place.kept, place.step, place.seen / self.job.feed.symbols, place.elapsed, place.seen, place.history)

    def _checkpoint(self) -> None:
        tensors = {f"model.{k}": v for k, v in weights(self.job.model).items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        tensors |= {f"carry.{i}": t for i, t in enumerate(self.carry or ())}
        tensors["rng"] = torch.get_rng_state()
        self.folder.save_tensors("training", tensors, asdict(self.place))

    def _restore(self) -> None:
        tensors, meta = self.folder.load_tensors("training")
        self.place = _Place(**meta)

        def part(prefix: str) -> dict[str, Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        self.job.model.load_state_dict(part("model."), strict=False)
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in part("optimizer.").items():
            index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        carried = part("carry.")
        self.carry = tuple(carried[str(i)].to(self.device) for i in range(len(carried))) or None
        torch.set_rng_state(tensors["rng"])


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Ctrl-C (and a polite kill) asks the loop to stop after the step in hand; a second Ctrl-C stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    old = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(number, old[signal.Signals(number)])

    for number in old:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)

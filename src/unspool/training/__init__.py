"""One loop for every task, what it is fed, and the folder it leaves."""

from unspool.training.feeds import Batch, Documents, Examples, Paired, Pairs, Pieces, RunningText, Source
from unspool.training.folder import ModelFolder
from unspool.training.likelihood import Likelihood
from unspool.training.loop import Outcome, fit, pick_device
from unspool.training.progress import Progress, Report
from unspool.training.schedule import Options, seconds

__all__ = [
    "Batch",
    "Documents",
    "Examples",
    "Likelihood",
    "ModelFolder",
    "Options",
    "Outcome",
    "Paired",
    "Pairs",
    "Pieces",
    "Progress",
    "Report",
    "RunningText",
    "Source",
    "fit",
    "pick_device",
    "seconds",
]

"""One loop for every task, what it is fed, and the folder it leaves."""

from unspool.training.feeds import Batch, Documents, RunningText
from unspool.training.folder import ModelFolder
from unspool.training.loop import Outcome, fit, pick_device
from unspool.training.progress import Progress, Report
from unspool.training.schedule import Options, seconds

__all__ = [
    "Batch",
    "Documents",
    "ModelFolder",
    "Options",
    "Outcome",
    "Progress",
    "Report",
    "RunningText",
    "fit",
    "pick_device",
    "seconds",
]

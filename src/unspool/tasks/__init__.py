"""One room an application, and the verbs over all of them. Tasks never import each other; what two share moves down."""

from __future__ import annotations

import importlib

from unspool.errors import ConfigError, did_you_mean
from unspool.tasks.task import Task

__all__ = ["TASKS", "find"]

TASKS = {
    "text": "unspool.tasks.text:Text",
    "music": "unspool.tasks.music:Music",
    "sentiment": "unspool.tasks.sentiment:Sentiment",
    "dna": "unspool.tasks.dna:Dna",
    "speech": "unspool.tasks.speech:Speech",
    "table": "unspool.tasks.table:Table",
    "video": "unspool.tasks.video:Video",
    "translation": "unspool.tasks.translation:Translate",
}  # imported when asked for


def find(name: str) -> Task:
    """The task of that name; ConfigError when there is none."""
    if name not in TASKS:
        raise ConfigError(f"there is no task {name!r}{did_you_mean(name, TASKS)}; the tasks are {', '.join(TASKS)}")
    module, kind = TASKS[name].split(":")
    return getattr(importlib.import_module(module), kind)()

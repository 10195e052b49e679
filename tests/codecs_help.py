"""Notes for tests."""

import numpy as np

from unspool.codecs.midi import Notes


def some(*rows):
    """Notes of (start, duration, pitch, velocity, program)."""
    start, duration, pitch, velocity, program = zip(*rows, strict=True)
    return Notes(np.array(start, float), np.array(duration, float), *(np.array(c, int) for c in (pitch, velocity, program)))

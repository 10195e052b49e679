"""The lecture's second notebook: a network that goes on with a piece for the piano.

python examples/piano.py [FOLDER OF MIDI FILES]      without a folder it learns tunes made on the spot, for half a minute
"""

import sys
import tempfile
from pathlib import Path

import unspool
from unspool.tasks import find

with tempfile.TemporaryDirectory() as scratch:
    data = [Path(sys.argv[1])] if sys.argv[1:] else find("music").demonstration(Path(scratch)).train

    # Notes and chords become events, each a symbol; pieces are moved to other keys while training.
    model = unspool.train("music", data, Path(scratch) / "model", budget="15m" if sys.argv[1:] else "30s")

    # One to many: each event that is drawn is the next input. Every piece as MIDI, sound, picture and JSON.
    print(model.deliver(model.generate(2, seed=1), Path("piano.mid")))

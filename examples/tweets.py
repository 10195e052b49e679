"""The lecture's first notebook: a network that writes tweets.

python examples/tweets.py [TWEETS.txt]      one tweet a line; without a file it learns the demo's sentences, for half a minute
"""

import sys
import tempfile
from pathlib import Path

import unspool
from unspool.tasks import find

with tempfile.TemporaryDirectory() as scratch:
    data = [Path(sys.argv[1])] if sys.argv[1:] else find("text").demonstration(Path(scratch)).train

    # x<t> is the symbol before: a mark that begins the text, then what was written. y<t> is a distribution over all symbols.
    model = unspool.train("text", data, Path(scratch) / "model", budget="10m" if sys.argv[1:] else "30s")

    # Sampling: draw a symbol, feed it back, until the end is drawn. A low temperature takes the likely, a high one the rare.
    for temperature in (0.5, 0.8, 1.1):
        print(f"\ntemperature {temperature}")
        for sample in model.generate(3, temperature=temperature, seed=1):
            print(" ", " ".join(sample.text.split())[:140])

    # How surprised is it by a text? -log p, a character.
    for line in ("the quick brown fox", "xq zzv kj qqw"):
        print(f"\n{line!r}: " + ", ".join(f"{name} {value:.2f}" for name, value in model.score([line])[0].items()))

"""Draws the figures of the lecture's pages: `python -m docs.lecture.figures`, some two minutes."""

from pathlib import Path

from unspool.insight import memory, positions

HERE = Path(__file__).parent

if __name__ == "__main__":
    found = positions.demonstrate()
    print(positions.table(found))
    positions.draw(HERE / "positions.png", found)
    learned = memory.demonstrate()
    print(memory.table(learned))
    memory.draw(HERE / "gradients.png", learned)

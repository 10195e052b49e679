"""Ways to run a cell over time. `reference` is the truth; `dispatch` chooses."""

from unspool.engines.dispatch import ENGINES, Choice, Engine, choose, explain
from unspool.engines.weights import Ran, State, Weights, shapes

__all__ = ["ENGINES", "Choice", "Engine", "Ran", "State", "Weights", "choose", "explain", "shapes"]

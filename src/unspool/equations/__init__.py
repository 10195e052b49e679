"""From a cell's `step` to its graph (`trace`), from the graph to its gradient (`derive`), from both to C++ (`emit_cpp`)."""

from unspool.equations.derive import Gradient, Passed, derive
from unspool.equations.graph import Graph, Node, in_order
from unspool.equations.trace import Equation, Slot, trace

__all__ = ["Equation", "Gradient", "Graph", "Node", "Passed", "Slot", "derive", "in_order", "trace"]

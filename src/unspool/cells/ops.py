"""The elementwise operations an equation may use. They act on tensors, plain numbers and symbols alike.

An operand that has the operation as a method (a `torch.Tensor`, a gate, a symbol) is asked for it; anything else is taken as a
number. So this module, and with it every cell, needs no tensor library.
"""

import math
from typing import Any

__all__ = ["exp", "log", "maximum", "minimum", "relu", "sigmoid", "tanh"]


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return x.sigmoid() if hasattr(x, "sigmoid") else 0.5 + 0.5 * math.tanh(0.5 * x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return x.tanh() if hasattr(x, "tanh") else math.tanh(x)


def relu(x: Any) -> Any:
    """max(x, 0)."""
    return x.relu() if hasattr(x, "relu") else max(x, 0.0)


def exp(x: Any) -> Any:
    """The exponential function."""
    return x.exp() if hasattr(x, "exp") else math.exp(x)


def log(x: Any) -> Any:
    """The natural logarithm."""
    return x.log() if hasattr(x, "log") else math.log(x)


def maximum(x: Any, y: Any) -> Any:
    """The larger of two operands; of equal ones the first, which the gradient goes to."""
    x, y = getattr(x, "value", x), getattr(y, "value", y)  # gates are their sums
    if hasattr(x, "larger"):
        return x.larger(y)
    if hasattr(y, "larger"):
        return y.larger(x, swapped=True)
    if hasattr(x, "where"):
        return x.where((x >= y) | (x != x), y)  # what is not a number comes through
    return y.where((y > x) | (y != y), x) if hasattr(y, "where") else max(x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of two operands; of equal ones the first, which the gradient goes to."""
    return -maximum(-x, -y)

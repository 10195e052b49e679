"""Seeing inside a model: which part of the input made its answer."""

from unspool.insight.attribution import integrated_gradients, leave_one_out

__all__ = ["integrated_gradients", "leave_one_out"]

"""Layers: a cell run by an engine, inside any `torch.nn.Module`; streams; and what stands around them."""

from unspool.layers.named import GRU, LSTM, RNN, MinGRU, MinLSTM
from unspool.layers.parts import Attention, Embedding, Keys, OneHot, dropout, variational_dropout
from unspool.layers.recurrent import Recurrent
from unspool.layers.stream import Stream

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Attention",
    "Embedding",
    "Keys",
    "MinGRU",
    "MinLSTM",
    "OneHot",
    "Recurrent",
    "Stream",
    "dropout",
    "variational_dropout",
]

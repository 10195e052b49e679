"""The four architectures, and the heads that stand on them."""

from unspool.models.encoder_decoder import EncoderDecoder, Memory
from unspool.models.heads import NADE, Bernoulli, Categorical, Ordinal
from unspool.models.many_to_many import ManyToMany
from unspool.models.many_to_one import ManyToOne
from unspool.models.one_to_many import OneToMany, language_model

__all__ = [
    "NADE",
    "Bernoulli",
    "Categorical",
    "EncoderDecoder",
    "ManyToMany",
    "ManyToOne",
    "Memory",
    "OneToMany",
    "Ordinal",
    "language_model",
]

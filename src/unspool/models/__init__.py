"""The four architectures, and the heads that stand on them."""

from unspool.models.encoder_decoder import EncoderDecoder, Memory
from unspool.models.heads import Bernoulli, Categorical
from unspool.models.many_to_many import ManyToMany
from unspool.models.many_to_one import ManyToOne
from unspool.models.one_to_many import OneToMany

__all__ = ["Bernoulli", "Categorical", "EncoderDecoder", "ManyToMany", "ManyToOne", "Memory", "OneToMany"]

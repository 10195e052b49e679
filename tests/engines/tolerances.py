"""How far an engine may be from `reference`: the one table, by dtype, for values and for gradients (relative, absolute)."""

import torch

VALUE = {torch.float32: (1e-5, 2e-6), torch.float64: (1e-10, 1e-12)}
GRADIENT = {torch.float32: (1e-4, 2e-5), torch.float64: (1e-9, 1e-11)}

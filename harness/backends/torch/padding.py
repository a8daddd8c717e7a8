"""Features of zero beside the real ones, for the shapes that cuDNN's persistent kernels ask for.

PyTorch has cuDNN keep a layer's recurrent weights on the chip over all steps (CUDNN_RNN_ALGO_PERSIST_STATIC)
in float16, where the features and H are multiples of 128, H at most 1,024, B a multiple of 8 and at most 128,
for an LSTM or RNN of one layer and one direction (`get_algo` in aten/src/ATen/native/cudnn/RNN.cpp). Features
are what the data say: 28 for rows of an image. Weights of zero more for each change neither outputs nor
gradients; they get no gradient, and stay zero.

Legend: T time steps, B batch, I input features, H hidden units, G gates.
"""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from harness.backends.base import Setup, Weights
from harness.errors import Unavailable
from harness.model.network import ModelSpec

MULTIPLE = 128


def padded(features: int) -> int:
    """The next multiple of 128."""
    return -(-features // MULTIPLE) * MULTIPLE


def check(setup: Setup, cell: ModuleType, implementation: str) -> None:
    """Raises Unavailable where features are to be padded and no stock layer reads them."""
    if setup.pad_features and not (implementation == "fused" and hasattr(cell, "fused_layer")):
        raise Unavailable(
            f"backend.pad_features=true: torch pads for PyTorch's own layers alone, and {implementation} "
            f"{setup.model.cell} is none: use false"
        )


class PaddedCell(ModuleType):
    """A cell's functions for a layer that reads padded features: `weight_ih` (G·H, I) has zeros beside it."""

    def __init__(self, cell: ModuleType, features: int) -> None:
        super().__init__(cell.__name__)
        self.cell, self.features = cell, features

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cell, name)

    def fused_layer(self, spec: ModelSpec) -> torch.nn.RNNBase:
        layer: torch.nn.RNNBase = self.cell.fused_layer(replace(spec, features=padded(spec.features)))
        return layer

    def pack(self, weights: Weights) -> Weights:
        packed: Weights = self.cell.pack(weights)
        beside = ((0, 0), (0, padded(self.features) - self.features))
        return packed | {"weight_ih": np.pad(packed["weight_ih"], beside)}

    def unpack(self, packed: Weights) -> Weights:
        weights: Weights = self.cell.unpack(packed | {"weight_ih": packed["weight_ih"][:, : self.features]})
        return weights


def widened(xs: torch.Tensor, features: int) -> torch.Tensor:
    """xs (T, B, I) with as many zeros beside each I as make so many features."""
    missing = features - xs.shape[2]
    return functional.pad(xs, (0, missing)) if missing else xs

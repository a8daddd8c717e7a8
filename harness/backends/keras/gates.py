"""Gates side by side: from one canonical array per gate to the one array that Keras stores.

Legend: I input features, H hidden units, G gates.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from harness.backends.base import Weights


def concatenate(weights: Mapping[str, np.ndarray], prefix: str, gates: Sequence[str]) -> np.ndarray:
    """`<prefix><gate>`, each (I, H) or (H,), side by side: (I, G·H) or (G·H,)."""
    return np.concatenate([weights[prefix + gate] for gate in gates], axis=-1)


def split(packed: np.ndarray, prefix: str, gates: Sequence[str]) -> Weights:
    """The inverse of `concatenate`."""
    names = [prefix + gate for gate in gates]
    return dict(zip(names, np.split(packed, len(gates), axis=-1), strict=True))


def pack(weights: Mapping[str, np.ndarray], gates: Sequence[str]) -> list[np.ndarray]:
    """Gates W_x· (I, H), W_h· (H, H), b_· (H,) as W_x (I, G·H), W_h (H, G·H), b (G·H,)."""
    return [concatenate(weights, prefix, gates) for prefix in ("W_x", "W_h", "b_")]


def unpack(packed: Sequence[np.ndarray], gates: Sequence[str]) -> Weights:
    """The inverse of `pack`."""
    W_x, W_h, b = packed
    return split(W_x, "W_x", gates) | split(W_h, "W_h", gates) | split(b, "b_", gates)

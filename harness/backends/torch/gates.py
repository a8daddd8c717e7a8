"""Gates side by side: from one canonical array per gate to the one array that a framework stores.

Legend: I input features, H hidden units, G gates.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from harness.backends.base import Weights


def concatenate(weights: Mapping[str, np.ndarray], prefix: str, gates: Sequence[str]) -> np.ndarray:
    """`<prefix><gate>`, each (I, H) or (H,), one below the other as torch stores them: (G·H, I) or (G·H,)."""
    return np.concatenate([weights[prefix + gate].T for gate in gates])


def split(packed: np.ndarray, prefix: str, gates: Sequence[str]) -> Weights:
    """The inverse of `concatenate`: (G·H, I) or (G·H,) to `<prefix><gate>`, each (I, H) or (H,)."""
    pieces = np.split(packed, len(gates))
    return {prefix + gate: piece.T for gate, piece in zip(gates, pieces, strict=True)}


def pack(weights: Mapping[str, np.ndarray], gates: Sequence[str]) -> Weights:
    """Gates W_x· (I, H), W_h· (H, H), b_· (H,) as weight_ih (G·H, I), weight_hh (G·H, H), bias_ih (G·H,)."""
    return {
        "weight_ih": concatenate(weights, "W_x", gates),
        "weight_hh": concatenate(weights, "W_h", gates),
        "bias_ih": concatenate(weights, "b_", gates),
    }


def unpack(packed: Mapping[str, np.ndarray], gates: Sequence[str]) -> Weights:
    """The inverse of `pack`; what else is packed is left out."""
    return {
        **split(packed["weight_ih"], "W_x", gates),
        **split(packed["weight_hh"], "W_h", gates),
        **split(packed["bias_ih"], "b_", gates),
    }


def pack_stock(weights: Mapping[str, np.ndarray], gates: Sequence[str]) -> Weights:
    """`pack`, with the second bias that stock layers add: zero, and never trained."""
    packed = pack(weights, gates)
    return {**packed, "bias_hh": np.zeros_like(packed["bias_ih"])}

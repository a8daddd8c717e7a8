"""Gates side by side: from one canonical array per gate to the one array that a framework stores."""

from collections.abc import Mapping, Sequence

import numpy as np

from harness.backends.base import Weights


def join(weights: Mapping[str, np.ndarray], prefix: str, gates: Sequence[str]) -> np.ndarray:
    """`<prefix><gate>`, each (I, H) or (H,), one below the other as torch stores them: (G·H, I) or (G·H,)."""
    return np.concatenate([weights[prefix + gate].T for gate in gates])


def part(packed: np.ndarray, prefix: str, gates: Sequence[str]) -> Weights:
    """The inverse of `join`: (G·H, I) or (G·H,) to `<prefix><gate>`, each (I, H) or (H,)."""
    pieces = np.split(packed, len(gates))
    return {prefix + gate: piece.T for gate, piece in zip(gates, pieces, strict=True)}

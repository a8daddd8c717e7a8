"""One file per cell, and how several gates lie in one array."""

from collections.abc import Mapping, Sequence

import numpy as np


def beside(weights: Mapping[str, np.ndarray], kind: str, gates: Sequence[str]) -> np.ndarray:
    """`W_xi`, `W_xf`, … (kind "W_x") side by side."""
    return np.concatenate([weights[f"{kind}{gate}"] for gate in gates], axis=-1)


def apart(array: np.ndarray, kind: str, gates: Sequence[str]) -> dict[str, np.ndarray]:
    """The inverse of `beside`."""
    names = [f"{kind}{gate}" for gate in gates]
    return dict(zip(names, np.split(array, len(gates), axis=-1), strict=True))

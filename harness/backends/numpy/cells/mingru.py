"""Minimal gated recurrent unit: the coefficients of h_t = α_t ∘ h_{t-1} + β_t; feature-major (H, T, B).

    α = 1 - z          β = z ∘ n          with z = σ(a_z), n = a_n

Backward:  dz = dβ ∘ n - dα          dn = dβ ∘ z          da_z = dz ∘ z ∘ (1 - z)
"""

from typing import Any

import numpy as np

from harness.backends.numpy.cells import Array, sigmoid

X_GATES = ("z", "n")


def coefficients(a: Array) -> tuple[Array, Array, Any]:
    """α, β and what the backward pass needs, of the projected inputs a (2H, T, B)."""
    a_z, n = np.split(a, 2)
    z = sigmoid(a_z)
    return 1 - z, z * n, (z, n)


def coefficients_backward(dα: Array, dβ: Array, saved: Any, da: Array) -> None:
    """Writes the gradient by a to da."""
    z, n = saved
    da_z, dn = np.split(da, 2)
    da_z[...] = (dβ * n - dα) * z * (1 - z)
    np.multiply(dβ, z, out=dn)

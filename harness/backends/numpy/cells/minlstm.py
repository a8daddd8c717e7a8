"""Minimal long short-term memory: the coefficients of h_t = α_t ∘ h_{t-1} + β_t; feature-major (H, T, B).

    α = f / (f + i)          β = (1 - α) ∘ n          with f = σ(a_f), i = σ(a_i), n = a_n

Backward, with dq = dα - dβ ∘ n the gradient by α alone, and α ∘ (1 - α) = f i / (f + i)²:

    da_f = dq ∘ α ∘ (1 - α) ∘ (1 - f)          da_i = -dq ∘ α ∘ (1 - α) ∘ (1 - i)          dn = dβ ∘ (1 - α)
"""

from typing import Any

import numpy as np

from harness.backends.numpy.cells import Array, sigmoid

X_GATES = ("f", "i", "n")


def coefficients(a: Array) -> tuple[Array, Array, Any]:
    """α, β and what the backward pass needs, of the projected inputs a (3H, T, B)."""
    a_f, a_i, n = np.split(a, 3)
    f, i = sigmoid(a_f), sigmoid(a_i)
    α = f / (f + i)
    return α, (1 - α) * n, (f, i, n, α)


def coefficients_backward(dα: Array, dβ: Array, saved: Any, da: Array) -> None:
    """Writes the gradient by a to da."""
    f, i, n, α = saved
    da_f, da_i, dn = np.split(da, 3)
    slope = (dα - dβ * n) * α * (1 - α)
    np.multiply(slope, 1 - f, out=da_f)
    np.multiply(slope, i - 1, out=da_i)
    np.multiply(dβ, 1 - α, out=dn)

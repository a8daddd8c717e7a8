"""Neural history compressor; feature-major arrays (·, B).

    p_t = l_{t-1} W_lx + b_x     e_t = mean_i (x_t - p_t)_i²     s_t = 1 if e_t > θ else 0
    l_t = tanh(a_l + l_{t-1} W_ll)
    h_t = s_t n_t + (1 - s_t) h_{t-1} with n_t = tanh(a_h)

Backward, with dh, dl and de the gradients by h_t, l_t and Σ e:

    da_h = s dh ∘ (1 - n²)       dh_{t-1} = (1 - s) dh          (and through the product)
    da_l = dl ∘ (1 - l²)         dp_t = -2/I (x - p) de
    dl_{t-1} = da_l W_llᵀ + dp_t W_lxᵀ
    dW_ll = Σ_B l_{t-1} da_lᵀ    dW_lx = Σ_B l_{t-1} dp_tᵀ     db_x = Σ_B dp_t
"""

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options, State, outer

X_GATES = ("l", "h")
H_GATES = ("h",)


class Tape:
    """What the backward pass needs: both nets, the surprises and by how much each prediction was wrong."""

    def __init__(self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Options) -> None:
        self.slots, self.θ = slots, float(options["threshold"])
        self.product = np.empty((slots, hidden, batch), dtype)
        self.l = np.empty((slots, hidden, batch), dtype)
        self.counted = np.empty((slots, 2, batch), dtype)  # Σ e and Σ s
        self.s = np.empty((slots, batch), np.bool_)
        self.wrong: list[Array] = [np.empty(0)] * slots  # x - p (I, B)

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        slot, (h_prev, l_prev, error, surprises) = k % self.slots, prev
        l, s = self.l[slot], self.s[slot]
        wrong = self.wrong[slot] = x - (p["W_lx"].T @ l_prev + p["b_x"][:, None])
        e = (wrong * wrong).mean(axis=0)
        np.greater(e, self.θ, out=s)
        l_next = p["W_ll"].T @ l_prev
        l_next += xw
        np.tanh(l_next, out=l)
        n = np.tanh(product, out=product)
        y[...] = np.where(s, n, h_prev)
        counted = self.counted[slot]
        np.add(error[0], e, out=counted[0])
        np.add(surprises[0], s, out=counted[1])
        return y, l, counted[:1], counted[1:]

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        (dh, dl, de, _), (_, l_prev, _, _), (_, l, _, _) = d, prev, new
        n, s, wrong = self.product[k], self.s[k], self.wrong[k]
        da_l, da_h = np.split(da, 2)
        da_h[...] = dh * s * (1 - n * n)
        dh *= ~s
        da_l[...] = dl * (1 - l * l)
        dp_t = wrong * (de * (-2 / len(wrong)))
        dp["W_ll"] += outer(l_prev, da_l)
        dp["W_lx"] += outer(l_prev, dp_t)
        dp["b_x"] += dp_t.sum(axis=1)
        np.matmul(p["W_ll"], da_l, out=dl)
        dl += p["W_lx"] @ dp_t

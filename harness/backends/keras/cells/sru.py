"""Simple recurrent unit in Keras.

    f_t = σ(x_t W_xf + v_f ∘ c_{t-1} + b_f)               forget gate
    r_t = σ(x_t W_xr + v_r ∘ c_{t-1} + b_r)               reset gate
    c_t = f_t ∘ c_{t-1} + (1 - f_t) ∘ (x_t W_xn)
    h_t = r_t ∘ c_t + (1 - r_t) ∘ (x_t W_xk)              highway

Stored are W_x (I, 4H), v (2H,) and b (2H,), those of f and r.
"""

from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor


def project(xs: Tensor, p: Packed) -> Tensor:
    """What the inputs add to the gates: xs (…, I), of one step or of all -> (…, 4H)."""
    W_x, _, b = p
    return ops.matmul(xs, W_x) + ops.concatenate([b, ops.zeros_like(b)])


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, 4H) and the state (c (B, H),) -> h and the next state."""
    (c,) = state
    _, v, _ = p
    v_f, v_r = ops.split(v, 2)
    f, r, n, k = ops.split(xw, 4, axis=-1)
    f, r = ops.sigmoid(f + v_f * c), ops.sigmoid(r + v_r * c)
    c = f * c + (1 - f) * n
    h = r * c + (1 - r) * k
    return h, (c,)


pack, unpack = gates.packing("W_xf W_xr W_xn W_xk", "v_f v_r", "b_f b_r")

"""Neural history compressor in Keras.

    p_t = l_{t-1} W_lx + b_x                                  the lower net's prediction of x_t
    e_t = mean_i (x_t - p_t)_i²                               its error
    s_t = 1 if e_t > θ else 0                                 surprise
    l_t = tanh(x_t W_xl + l_{t-1} W_ll + b_l)                 lower net, every step
    h_t = s_t tanh(x_t W_xh + h_{t-1} W_hh + b_h) + (1 - s_t) h_{t-1}          upper net
    loss = cross-entropy + λ mean_t e_t

Stored are W_xh (I, H), W_hh (H, H), b_h (H,) of the upper net, W_xl (I, H), W_ll (H, H), b_l (H,) of the
lower one, and W_lx (H, I), b_x (I,) of its prediction.
"""

from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor


def project(xs: Tensor, p: Packed) -> Tensor:
    """What the inputs add to both nets, and the inputs themselves, side by side: xs (…, I), of one step or
    of all -> (…, 2H + I)."""
    W_xh, _, b_h, W_xl, _, b_l, _, _ = p
    return ops.concatenate([ops.matmul(xs, W_xh) + b_h, ops.matmul(xs, W_xl) + b_l, xs], axis=-1)


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: what `project` gives, xw (B, 2H + I), and the state (h, l, each (B, H), error,
    surprises, each (B, 1)) -> h and the next state."""
    h, l, error, surprises = state
    _, W_hh, _, _, W_ll, _, W_lx, b_x = p
    H = W_hh.shape[0]
    ah, al = ops.split(xw[..., : 2 * H], 2, axis=-1)
    x = xw[..., 2 * H :]  # on PyTorch a split at places would wait for the device to tell them
    prediction = ops.matmul(l, W_lx) + b_x
    e = ops.mean(ops.square(x - prediction), axis=-1, keepdims=True)
    s = ops.cast(e > float(options["threshold"]), e.dtype)  # a comparison has no gradient
    l = ops.tanh(al + ops.matmul(l, W_ll))
    h = s * ops.tanh(ah + ops.matmul(h, W_hh)) + (1 - s) * h
    return h, (h, l, error + e, surprises + s)


pack, unpack = gates.packing("W_xh", "W_hh", "b_h", "W_xl", "W_ll", "b_l", "W_lx", "b_x")

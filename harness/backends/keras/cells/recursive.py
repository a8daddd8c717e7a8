"""Recursive network over a balanced binary tree in Keras.

    leaf:   h = tanh(x_t W_xh + b_h)
    node:   h = tanh(a W_ah + b W_bh + b_c)          a, b its left and right child
    output: the root's h

Neighbours are joined in pairs, level by level; a last one without a neighbour goes up as it is. Stored
are W_xh (I, H), b_h (H,), W_ah (H, H), W_bh (H, H), b_c (H,).
"""

from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor


def sequence(xs: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """xs (T, B, I) -> the root's h (1, B, H), and no state; a level is one product for each child."""
    W_xh, b_h, W_ah, W_bh, b_c = p
    h = ops.tanh(ops.matmul(xs, W_xh) + b_h)
    while h.shape[0] > 1:
        paired = h.shape[0] // 2 * 2
        a, b, rest = h[:paired:2], h[1:paired:2], h[paired:]
        h = ops.concatenate([ops.tanh(ops.matmul(a, W_ah) + ops.matmul(b, W_bh) + b_c), rest])
    return h, state


pack, unpack = gates.packing("W_xh", "b_h", "W_ah", "W_bh", "b_c")

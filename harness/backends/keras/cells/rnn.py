"""Elman network in Keras.

    a_t = x_t W_xh + h_{t-1} W_hh + b_h
    h_t = φ(a_t)                            φ = tanh, or max(0, ·) with `cell.activation=relu`

Keras stores W_x (I, H), W_h (H, H), b (H,).
"""

from typing import Any

import keras
from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor
from harness.model.network import ModelSpec


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, H) and the state (h (B, H),) -> h and the next state."""
    (h,) = state
    _, W_h, _ = p
    φ = keras.activations.get(options["activation"])
    h = φ(xw + ops.matmul(h, W_h))
    return h, (h,)


def fused_layer(spec: ModelSpec, **keywords: Any) -> keras.Layer:
    """Keras' own layer; `use_cudnn` says nothing to it, since it has no cuDNN path."""
    keywords.pop("use_cudnn")
    return keras.layers.SimpleRNN(spec.hidden, activation=spec.options["activation"], **keywords)


pack, unpack = gates.packing("W_xh", "W_hh", "b_h")

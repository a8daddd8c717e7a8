"""The time loop, written once, and what combines its passes: chunks, directions, layers.

Legend: T time steps, B batch, I input features, H hidden units, G gates, D directions.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn import functional

State = tuple[torch.Tensor, ...]  # each (B, H); the first is the output h
Packed = Mapping[str, torch.Tensor]
Step = Callable[..., State]
OverTime = Callable[[Sequence[torch.Tensor], State, Packed, bool], tuple[list[torch.Tensor], State]]

CHUNK = 28  # time steps that are compiled as one graph


def over_time(step: Step) -> OverTime:
    """The loop of a step over the projected inputs xw, T of them, each (B, G·H).

    The loop returns the outputs h, T of them, each (B, H), if told to keep them, and the last state.
    One tensor a step, not one (T, B, G·H): a compiler then sees the same code in every step, where
    it would otherwise make a kernel for each offset.
    """

    def run(
        xw: Sequence[torch.Tensor], state: State, p: Packed, keep: bool
    ) -> tuple[list[torch.Tensor], State]:
        hs = []
        for xw_t in xw:
            state = step(xw_t, state, p)
            if keep:
                hs.append(state[0])
        return hs, state

    return run


def in_chunks(run: OverTime) -> OverTime:
    """The same loop in near equal pieces of at most CHUNK steps, with the state carried on.

    A compiled loop is unrolled, so its graph must not grow with T. The first state asks for a gradient
    as the later ones do, or its piece would be compiled apart.
    """

    def pieces(
        xw: Sequence[torch.Tensor], state: State, p: Packed, keep: bool
    ) -> tuple[list[torch.Tensor], State]:
        count = -(-len(xw) // CHUNK)
        size = -(-len(xw) // count)
        if count > 1 and torch.is_grad_enabled():
            state = tuple(s.requires_grad_() for s in state)
        hs = []
        for first in range(0, len(xw), size):
            piece, state = run(xw[first : first + size], state, p, keep)
            hs += piece
        return hs, state

    return pieces


def one_way(
    run: OverTime, xs: torch.Tensor, p: Packed, *, states: int, keep: bool, backward: bool
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """One direction of one layer over xs (T, B, I), the inputs of all steps projected in one product.

    Returns the outputs (T, B, H), if kept, and the last output (B, H). Backward reads the sequence from
    its end; its outputs come back in the sequence's own order.
    """
    xw = functional.linear(xs, p["weight_ih"], p["bias_ih"]).unbind(0)
    zeros = tuple(xs.new_zeros(xs.shape[1], p["weight_hh"].shape[1]) for _ in range(states))
    hs, state = run(xw[::-1] if backward else xw, zeros, p, keep)
    return torch.stack(hs[::-1] if backward else hs) if keep else None, state[0]


def stack(
    run: OverTime, xs: torch.Tensor, layers: Sequence[Sequence[Packed]], *, states: int, keep: bool
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Layers over xs (T, B, I); `layers` holds what each direction of each stores, forward first.

    Returns the top layer's outputs (T, B, D·H), if kept, and its last ones (B, D·H).
    """
    for number, ways in enumerate(layers, start=1):
        wanted = keep or number < len(layers)
        passes = [
            one_way(run, xs, p, states=states, keep=wanted, backward=way > 0) for way, p in enumerate(ways)
        ]
        if wanted:
            xs = _beside([hs for hs, _ in passes], dim=2)
    return xs if keep else None, _beside([h for _, h in passes], dim=1)


def _beside(tensors: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
    """The tensors side by side, without a copy where there is one only."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim)

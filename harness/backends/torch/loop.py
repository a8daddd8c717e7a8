"""The time loop, written once, and what combines its passes: chunks, directions, layers.

Legend: T time steps, B batch, I input features, H hidden units, G gates, D directions.
A pass takes the inputs xs (T, B, I) of one layer and gives (hs, h): the outputs (T, B, ·) of all steps,
or None where nobody asked for them, and what it gave last (B, ·).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn import functional

State = tuple[torch.Tensor, ...]  # each (B, H); the first is the output h
Packed = Mapping[str, torch.Tensor]
Step = Callable[..., State]
OverTime = Callable[[torch.Tensor, State, Packed, bool], tuple[torch.Tensor | None, State]]

CHUNK = 28  # time steps that are compiled as one graph


def over_time(step: Step) -> OverTime:
    """The loop of a step over xw (T, B, G·H), the projected inputs; keeps all outputs if told to."""

    def run(xw: torch.Tensor, state: State, p: Packed, keep: bool) -> tuple[torch.Tensor | None, State]:
        hs = []
        for xw_t in xw.unbind(0):
            state = step(xw_t, state, p)
            if keep:
                hs.append(state[0])
        return torch.stack(hs) if keep else None, state

    return run


def in_chunks(run: OverTime) -> OverTime:
    """The same loop in pieces of at most CHUNK steps, near equal, with the state carried on.

    A compiled loop is unrolled, so that its graph must not grow with T. The first state asks for a
    gradient as the later ones do, or its piece would be compiled apart.
    """

    def pieces(xw: torch.Tensor, state: State, p: Packed, keep: bool) -> tuple[torch.Tensor | None, State]:
        count = -(-len(xw) // CHUNK)
        if count > 1 and torch.is_grad_enabled():
            state = tuple(s.requires_grad_() for s in state)
        kept = []
        for piece in xw.split(-(-len(xw) // count)):
            hs, state = run(piece, state, p, keep)
            kept.append(hs)
        return torch.cat(kept) if keep else None, state

    return pieces


def one_way(
    run: OverTime, xs: torch.Tensor, p: Packed, *, states: int, keep: bool, backward: bool
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """One direction of one layer over xs (T, B, I), the projection of all steps in one product.

    Backward reads the sequence from its end; its outputs come back in the sequence's own order.
    """
    if backward:
        xs = xs.flip(0)
    xw = functional.linear(xs, p["weight_ih"], p["bias_ih"])
    zeros = tuple(xs.new_zeros(xs.shape[1], p["weight_hh"].shape[1]) for _ in range(states))
    hs, state = run(xw, zeros, p, keep)
    if backward and hs is not None:
        hs = hs.flip(0)
    return hs, state[0]


def stack(
    run: OverTime,
    xs: torch.Tensor,
    blocks: Sequence[Sequence[Packed]],
    *,
    states: int,
    keep: bool,
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Layers over xs (T, B, I); blocks holds each layer's directions, forward first.

    Returns the top layer's outputs (T, B, D·H), if kept, and its last ones (B, D·H).
    """
    top = len(blocks) - 1
    for number, directions in enumerate(blocks):
        wanted = keep or number < top
        ways = [
            one_way(run, xs, p, states=states, keep=wanted, backward=backward)
            for p, backward in zip(directions, (False, True), strict=False)
        ]
        if wanted:
            xs = torch.cat([hs for hs, _ in ways], dim=2) if len(ways) > 1 else ways[0][0]
    h = torch.cat([h for _, h in ways], dim=1) if len(ways) > 1 else ways[0][1]
    return xs if keep else None, h

"""One direction of one layer over time, in three ways: step by step, compiled in pieces, all at once.

Legend: T time steps, B batch, I input features, H hidden units; G·H is what a cell's input is projected
to. Backward reads the sequence from its end; its outputs come back in the sequence's own order.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from types import ModuleType
from typing import Protocol

import torch
from torch.nn import functional

from harness.backends.torch import inductor
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.recurrent_product import collecting
from harness.model.cell import Value

Step = Callable[[torch.Tensor, State, Packed, Options], tuple[torch.Tensor, State]]
TimeLoop = Callable[[Sequence[torch.Tensor], State, Packed, bool], tuple[list[torch.Tensor], State]]
SequenceFunction = Callable[[torch.Tensor, State, Packed], tuple[torch.Tensor, State]]
Constants = tuple[tuple[str, Value], ...]  # options, hashable

CHUNK = 28  # steps, or Euler steps inside them, that are compiled as one graph


class Direction(Protocol):
    """A direction of a layer over xs (T, B, I) from the states before it, each (B, length)."""

    def __call__(
        self, xs: torch.Tensor, state: State, p: Packed, *, keep: bool, backward: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor, State]:
        """Its outputs (T, B, H), at least if kept, the last it gave (B, H), and the states after it."""


def direction_of(cell: ModuleType, implementation: str, options: Options, device: str) -> Direction:
    """What an implementation makes of a cell file's functions on a kind of device; see
    `harness.backends.torch.cells`."""
    constants = tuple(options.items())
    project = getattr(cell, "project", projected)
    match implementation:
        case "fused":
            return at_once(partial(cell.fused_sequence, options=options))
        case "scan":
            scan = partial(cell.scan, options=options)
            return at_once(lambda xs, state, p: scan(project(xs, p), state, p))
        case "loop" if hasattr(cell, "sequence"):
            return at_once(partial(cell.sequence, options=options))
        case "compiled" if hasattr(cell, "sequence"):
            return at_once(compiled_sequence(cell.sequence, constants, device))
    precompute = getattr(cell, "precompute", dict)
    if implementation == "compiled":
        return stepped(compiled_steps(cell.step, constants, device), project, precompute)
    if device == "cuda":  # on a CPU this is no faster
        return stepped(steps(cell.step, options), project, lambda p: collecting(precompute(p)))
    return stepped(steps(cell.step, options), project, precompute)


def stepped(
    run: TimeLoop,
    project: Callable[[torch.Tensor, Packed], torch.Tensor],
    precompute: Callable[[Packed], Packed],
) -> Direction:
    """One step after the other, the inputs of all steps projected in one product."""

    def direction(
        xs: torch.Tensor, state: State, p: Packed, *, keep: bool, backward: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor, State]:
        xw = project(xs, p).unbind(0)
        ys, state = run(xw[::-1] if backward else xw, state, precompute(p), keep)
        return torch.stack(ys[::-1] if backward else ys) if keep else None, ys[-1], state

    return direction


def at_once(sequence: SequenceFunction) -> Direction:
    """All steps in one call."""

    def direction(
        xs: torch.Tensor, state: State, p: Packed, *, keep: bool, backward: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor, State]:
        ys, state = sequence(xs.flip(0) if backward else xs, state, p)
        return ys.flip(0) if backward else ys, ys[-1], state

    return direction


def projected(xs: torch.Tensor, p: Packed) -> torch.Tensor:
    """x_t W_x + b of all steps: xs (T, B, I) -> (T, B, G·H); what cells do that say nothing else."""
    return functional.linear(xs, p["weight_ih"], p["bias_ih"])


def steps(step: Step, options: Options) -> TimeLoop:
    """The time loop over the projected inputs xw, T of them, each (B, G·H).

    It returns the outputs y (B, H), T of them or, if not told to keep them, the last one, and the state
    after them. One tensor a step, not one (T, B, G·H): a compiler then sees the same code in every step,
    where it would otherwise make a kernel for each offset.
    """

    def run(
        xw: Sequence[torch.Tensor], state: State, p: Packed, keep: bool
    ) -> tuple[list[torch.Tensor], State]:
        ys: list[torch.Tensor] = []
        for xw_t in xw:
            y, state = step(xw_t, state, p, options)
            if keep:
                ys.append(y)
        return ys if keep else [y], state

    return run


def in_chunks(run: TimeLoop, longest: int = CHUNK) -> TimeLoop:
    """The same loop in near equal pieces of at most so many steps, with the state carried on.

    A compiled loop is unrolled, so its graph must not grow with T. Where anything is trained the first
    state asks for a gradient as the later ones do, or its piece would be compiled apart.
    """

    def pieces(
        xw: Sequence[torch.Tensor], state: State, p: Packed, keep: bool
    ) -> tuple[list[torch.Tensor], State]:
        count = -(-len(xw) // longest)
        size = -(-len(xw) // count)
        if count > 1 and torch.is_grad_enabled() and any(t.requires_grad for t in (xw[0], *p.values())):
            state = tuple(s.requires_grad_() for s in state)
        ys: list[torch.Tensor] = []
        for first in range(0, len(xw), size):
            piece, state = run(xw[first : first + size], state, p, keep)
            ys = ys + piece if keep else piece
        return ys, state

    return pieces


@cache
def compiled_steps(step: Step, constants: Constants, device: str) -> TimeLoop:
    """The compiled time loop: one for all sessions of a process that have these options, so that each
    shape is compiled once."""
    options = dict(constants)
    run = inductor.compile(steps(step, options), device)
    return in_chunks(run, max(1, CHUNK // int(options.get("substeps", 1))))


@cache
def compiled_sequence(
    sequence: Callable[..., tuple[torch.Tensor, State]], constants: Constants, device: str
) -> SequenceFunction:
    """The same for a function of a whole sequence."""
    options = dict(constants)

    def run(xs: torch.Tensor, state: State, p: Packed) -> tuple[torch.Tensor, State]:
        return sequence(xs, state, p, options)

    compiled: SequenceFunction = inductor.compile(run, device)
    return compiled

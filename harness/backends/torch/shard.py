"""One part of every batch: a model of its own, whose weights all shards of a session share.

What goes in and out of a shard lies in named arrays:

weights           (P,) every stored tensor, laid out by `views`
gradients         (S, P), one row for every shard
x.SPLIT           (T, N, I)
y.SPLIT           (N,)
rows              (≥ B,) the rows of the split that make the batch
result            flat room for what `forward` finds

Legend: N sequences of a split, T time steps, B batch, I input features, H hidden units, C classes,
D directions.
"""

from collections.abc import Sequence

import numpy as np
import torch

from harness.backends.base import Setup
from harness.backends.processes.split import split_evenly
from harness.backends.torch import model
from harness.backends.torch.cells import State
from harness.backends.torch.device import configure, dtype
from harness.backends.torch.model import Model
from harness.backends.torch.products import MatrixProducts
from harness.backends.torch.randomness import Stream

CPU = torch.device("cpu")
ALIGNED = 16  # numbers: a piece of a vector begins at a multiple of 64 bytes, as any tensor of PyTorch's


class Shard:
    """Shard `number` of a session, see `harness.backends.processes`. It computes in as many threads of this
    process as it has in the session."""

    def __init__(self, setup: Setup, number: int, arrays: dict[str, np.ndarray]) -> None:
        configure(threads(setup)[number], tf32=False)
        self.arrays = arrays
        held = dtype(setup.precision, "cpu")
        self.model = model.build(setup, setup.implementation, device=CPU, dtype=held)
        share(self.model, torch.from_numpy(arrays["weights"]))
        gradient = views(self.model, torch.from_numpy(arrays["gradients"][number]))
        self.gradient = [gradient[tensor] for tensor in self.model.trained]
        self.products = MatrixProducts(CPU, self.model.low or held)
        self.states: list[State] | None = None  # after the last chunk
        self.dropout = Stream(setup.seed, CPU, number) if setup.model.dropout else None
        self.begun: tuple[int, int] | None = None

    def ready(self) -> None:
        """Returns when this process has started."""

    def gradients(
        self,
        split: str,
        part: tuple[int, int],
        steps: tuple[int, int],
        share: float,
        dropout: tuple[int, int] | None = None,
    ) -> float:
        """Puts the gradient of `share` × the part's loss into this shard's row of `gradients`.

        The batch's part and the chunk of steps go from a first to before an end; a chunk that does not
        begin at 0 goes on from the last call's states. `dropout` is the epoch whose stream drops, and how
        often streams have begun anew; None: nothing drops. Returns `share` × the loss.
        """
        first, end = steps
        x, y = self._split(split)
        rows = torch.from_numpy(self.arrays["rows"][slice(*part)])
        xs, labels = x[first:end].index_select(1, rows), y.index_select(0, rows)
        states = self.states if first else None
        if dropout is None or self.dropout is None:
            loss, states = self.model.loss(xs, labels, states)
        else:
            if dropout != self.begun:
                self.dropout.begin(dropout[0])
                self.begun = dropout
            with self.dropout.drawn():
                loss, states = self.model.loss(xs, labels, states, drop=True)
        loss = share * loss
        found = torch.autograd.grad(loss, self.model.trained, allow_unused=True, materialize_grads=True)
        torch._foreach_copy_(self.gradient, found)
        self.states = [tuple(state.detach() for state in block) for block in states]
        return loss.item()

    @torch.no_grad()
    def forward(self, split: str, ranges: Sequence[tuple[int, int, int]], features: bool) -> None:
        """Of the rows start:stop of every range (start, stop, into), the logits (C), or what the readout
        reads (D·H), from row `into` of `result` on."""
        x, _ = self._split(split)
        width = self.model.spec.width if features else self.model.spec.classes
        room = torch.from_numpy(self.arrays["result"])
        result = room[: len(room) // width * width].view(-1, width)
        for start, stop, into in ranges:
            read = self.model(x[:, start:stop].clone(memory_format=torch.contiguous_format))
            result[into : into + stop - start] = read.features if features else read.logits

    def matmul(self, m: int, k: int, n: int, repeats: int) -> None:
        """See `Session.matmul`; a batch of m rows is this shard's part."""
        self.products.run(m, k, n, repeats)

    def close(self) -> None:
        """Lets go of the model and of what it had for the last batch."""
        del self.model, self.gradient, self.states

    def _split(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.arrays[f"x.{name}"]), torch.from_numpy(self.arrays[f"y.{name}"])


def threads(setup: Setup) -> list[int]:
    """How many threads each shard has, at least one: together those of the session."""
    return [part.stop - part.start for part in split_evenly(setup.threads, setup.shards)]


def size(of: Model) -> int:
    """How long a vector of all stored tensors is."""
    return sum(_sizes(of))


def views(of: Model, vector: torch.Tensor) -> dict[torch.Tensor, torch.Tensor]:
    """Every stored tensor with its piece of a vector, in its shape."""
    pieces = vector.split(_sizes(of))
    return {
        tensor: piece[: tensor.numel()].view(tensor.shape)
        for tensor, piece in zip(of.tensors(), pieces, strict=True)
    }


def share(of: Model, vector: torch.Tensor) -> None:
    """Makes the pieces of a vector the memory of the stored tensors."""
    for tensor, piece in views(of, vector).items():
        tensor.data = piece


def _sizes(of: Model) -> list[int]:
    return [-(-tensor.numel() // ALIGNED) * ALIGNED for tensor in of.tensors()]

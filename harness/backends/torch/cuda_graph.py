"""Training steps as CUDA graphs: the host starts one graph for a step, where it would start its kernels.

A graph does the same work on the same memory each time. So what changes from step to step lies in tables
on the device, with a counter of the row that is next; a step reads its row, and moves the counter on.

Legend: N sequences, S steps, T time steps, B batch, I input features, K chunks of a sequence.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

TABLE_ROWS = 256  # of the tables: steps between two fillings
WARM_UP = 3  # steps before the capture, in which libraries choose their kernels and memory

Update = Callable[[torch.Tensor, torch.Tensor], list[torch.Tensor]]


def available(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether steps are captured: on CUDA, where optimisers read their rate from the device in float32."""
    return device.type == "cuda" and dtype == torch.float32


class GraphedUpdates:
    """Steps on batches of B sequences out of x (T, N, I) with labels y (N,), as many as are asked for.

    `update` makes the updates of one batch xs (T, B, I), labels (B,) at the rate that lies in `rate`, and
    returns the K losses before each. `changed` are all
    tensors that it changes; they are restored after the capture.
    """

    def __init__(
        self,
        update: Update,
        x: torch.Tensor,
        y: torch.Tensor,
        *,
        rate: torch.Tensor,
        changed: Sequence[torch.Tensor],
        batch: int,
        chunks: int,
    ) -> None:
        self.update, self.x, self.y, self.rate = update, x, y, rate
        self.row = torch.zeros(1, dtype=torch.int64, device=x.device)
        self.indices = torch.zeros(TABLE_ROWS, batch, dtype=torch.int64, device=x.device)
        self.rates = torch.zeros(TABLE_ROWS, dtype=rate.dtype, device=x.device)
        self.losses = torch.zeros(TABLE_ROWS, chunks, dtype=x.dtype, device=x.device)
        self.replay = captured(self.step, [*changed, rate, self.row])

    def step(self) -> None:
        """One step, of the row that is next, without the host."""
        index = self.indices.index_select(0, self.row).view(-1)
        self.rate.copy_(self.rates.index_select(0, self.row).view(()))
        losses = self.update(self.x.index_select(1, index), self.y.index_select(0, index))
        self.losses.index_copy_(0, self.row, torch.stack(losses).view(1, -1))
        self.row += 1

    def run(self, indices: torch.Tensor, rates: torch.Tensor) -> torch.Tensor:
        """S steps, the host never waiting: indices (S, B) and rates (S,), both pinned; losses (S, K)."""
        losses = []
        for some, at in zip(indices.split(TABLE_ROWS), rates.split(TABLE_ROWS), strict=True):
            self.indices[: len(some)].copy_(some, non_blocking=True)
            self.rates[: len(at)].copy_(at, non_blocking=True)
            self.row.zero_()
            for _ in range(len(some)):
                self.replay()
            losses.append(self.losses[: len(some)].clone())
        return torch.cat(losses)


def captured(step: Callable[[], None], changed: Sequence[torch.Tensor]) -> Callable[[], None]:
    """The step as a graph to replay, captured without a trace.

    Warm-up and capture share a stream of their own, so that every library has its workspace there before
    the capture. No gradient may hang on the tensors from elsewhere: its nodes would remember their stream.
    """
    device = changed[0].device
    stream, graph = torch.cuda.Stream(device), torch.cuda.CUDAGraph()
    with restored(changed):
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step()
        with torch.cuda.graph(graph, stream=stream):
            step()
        torch.cuda.current_stream(device).wait_stream(stream)
    return graph.replay


@contextmanager
def restored(changed: Sequence[torch.Tensor]) -> Iterator[None]:
    """Restores the values of these tensors, in the same memory, and the random numbers at the end."""
    device = changed[0].device
    before = [tensor.detach().clone() for tensor in changed]
    with torch.random.fork_rng([device.index] if device.type == "cuda" else []):
        yield
    with torch.no_grad():
        for tensor, value in zip(changed, before, strict=True):
            tensor.copy_(value)

"""Work on a CUDA device as graphs: the host starts one graph, where it would start each of its kernels.

A graph does the same work on the same memory each time. So what changes from replay to replay lies in tensors
that stay where they are and are filled before it: batches and rates of training steps, inputs of a forward
pass.

The graphs of a session share one pool of memory, which is as large as the largest of them needs, not as all
together. PyTorch's guide ("CUDA semantics", graph memory management) allows it for graphs that never run at
the same time, whatever their order, as long as none reads what another has left in the pool. None does:
weights, slots, tables, losses and inputs lie outside, and what a forward pass returns is copied before the
next replay. Graphs of one pool are captured on one stream, or the pool could not reuse its memory.

Legend: N sequences, S steps, T time steps, B batch, I input features, K chunks of a sequence.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

GROUP = 8  # training steps that a graph makes
TIME_STEPS = 1024  # that a graph may have for that: it has kernels for each of them
WARM_UP = 3  # times before the capture, in which libraries choose their kernels and memory

Replay = Callable[[], None]
Update = Callable[[torch.Tensor, torch.Tensor], list[torch.Tensor]]


def supported(device: torch.device) -> bool:
    """Whether a device has graphs."""
    return device.type == "cuda"


def steps_per_graph(time_steps: int) -> int:
    """How many training steps on sequences of so many time steps one graph makes."""
    return max(1, min(GROUP, TIME_STEPS // time_steps))


class Capture:
    """Makes graphs that share a stream to be captured on and a pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(
        self, work: Callable[[], None], changed: Sequence[torch.Tensor] = (), *, warm_up: int = WARM_UP
    ) -> Replay:
        """`work` as a graph to replay, captured without a trace: the values of `changed`, all tensors that it
        changes and whose values matter, are restored.

        Warm-up and capture share a stream, so that every library has its workspace there before the capture.
        No gradient may hang on the tensors from elsewhere: its nodes would remember their stream, and break
        the capture. Nodes in garbage that only a collection frees would do so too, and PyTorch collects none.
        """
        graph = torch.cuda.CUDAGraph()
        with restored(changed, self.device):
            self.stream.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(self.stream):
                for _ in range(warm_up):
                    work()
            if torch.is_grad_enabled():
                gc.collect()
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                work()
            torch.cuda.current_stream(self.device).wait_stream(self.stream)
        return graph.replay


class GraphedUpdates:
    """Steps on batches of B sequences out of x (T, N, I) with labels y (N,): one graph makes several steps,
    another the single ones that are left over.

    `update` makes the updates of one batch xs (T, B, I), labels (B,) at the rate that lies in `rate`, and
    returns the K losses before each. `changed` are all tensors that it changes.
    """

    def __init__(
        self,
        capture: Capture,
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
        self.rows = steps_per_graph(len(x))
        self.indices = torch.zeros(self.rows, batch, dtype=torch.int64, device=x.device)
        self.rates = torch.zeros(self.rows, dtype=rate.dtype, device=x.device)
        self.losses = torch.zeros(self.rows, chunks, dtype=x.dtype, device=x.device)
        changed = [*changed, rate]
        self.graphs = {1: capture(partial(self.steps, 1), changed)}
        if self.rows > 1:
            self.graphs[self.rows] = capture(partial(self.steps, self.rows), changed, warm_up=0)

    def steps(self, count: int) -> None:
        """The steps of the first rows, without the host."""
        for row in range(count):
            self.rate.copy_(self.rates[row])
            index = self.indices[row]
            losses = self.update(self.x.index_select(1, index), self.y.index_select(0, index))
            torch.stack(losses, out=self.losses[row])

    def run(self, indices: torch.Tensor, rates: torch.Tensor) -> torch.Tensor:
        """S steps, the host never waiting: indices (S, B) and rates (S,) on the device; losses (S, K)."""
        found = []
        while len(indices):
            count = self.rows if len(indices) >= self.rows else 1
            self.indices[:count].copy_(indices[:count])
            self.rates[:count].copy_(rates[:count])
            self.graphs[count]()
            found.append(self.losses[:count].clone())
            indices, rates = indices[count:], rates[count:]
        return torch.cat(found)


class GraphedForward:
    """A forward pass over inputs of the shapes of `inputs`. The next replay of any graph of the same pool
    overwrites what it returns."""

    def __init__(self, capture: Capture, forward: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> None:
        self.inputs = [tensor.clone(memory_format=torch.contiguous_format) for tensor in inputs]
        self.forward = forward
        self.replay = capture(self.compute)

    def compute(self) -> None:
        """The pass over what lies in `inputs`."""
        self.outputs = self.forward(*self.inputs)

    def __call__(self, *inputs: torch.Tensor) -> Any:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        self.replay()
        return self.outputs


@contextmanager
def restored(changed: Sequence[torch.Tensor], device: torch.device) -> Iterator[None]:
    """Restores the values of these tensors, in the same memory, and the random numbers at the end."""
    before = [tensor.detach().clone() for tensor in changed]
    with torch.random.fork_rng([device.index] if device.type == "cuda" else []):
        yield
    with torch.no_grad():
        for tensor, value in zip(changed, before, strict=True):
            tensor.copy_(value)

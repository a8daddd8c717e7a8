"""The bare loop as a CUDA graph: one update is captured as PyTorch's guide says, and replayed.

The guide: docs.pytorch.org/docs/stable/notes/cuda.html, "Whole-network capture". The host fills a batch's
indices in before every replay; loss scaling is left out, so there is no float16.
"""

import gc

import torch
from torch.nn import functional

from harness.errors import Unavailable
from tests.bench.sides.torch_loop import Net, autocast
from tests.bench.task import RATE, Side, Task

WARM_UP = 3  # updates on a stream of their own before the capture


def open_side(task: Task, *, precision: str = "float32") -> Side:
    """Raises Unavailable on a CPU, which has no graphs."""
    if not task.device.startswith("cuda"):
        raise Unavailable(f"device={task.device}: only CUDA has graphs")
    if precision == "float16":
        raise Unavailable("precision=float16: a bare graph has no loss scaling")
    computing = autocast(task, precision)
    x, y = (torch.from_numpy(array).to(task.device) for array in task.data())
    model = Net(task.cell, task.features, task.hidden, task.classes).to(task.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, capturable=True)
    index = torch.zeros(task.batch, dtype=torch.int64, device=task.device)
    total = torch.zeros((), device=task.device)

    def update() -> None:
        optimizer.zero_grad(set_to_none=True)
        with computing():
            loss = functional.cross_entropy(model(x[index]), y[index])
        loss.backward()
        optimizer.step()
        total.add_(loss.detach())

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            update()
    torch.cuda.current_stream().wait_stream(stream)
    gc.collect()  # a dead cycle may hold nodes that belong to the stream of the warm-up
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        update()

    def train(updates: int) -> float:
        total.zero_()
        done = 0
        while done < updates:
            for batch in torch.randperm(len(x), device=task.device).split(task.batch)[: updates - done]:
                index.copy_(batch)
                graph.replay()
                done += 1
        return total.item() / updates  # waits for the device

    return Side(train, task.flops)

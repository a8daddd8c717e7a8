"""The bare loop: a stock layer, a linear readout, Adam, batches by index from tensors on the device."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn import functional

from tests.bench.task import RATE, Side, Task

LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
LOW = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Net(nn.Module):
    def __init__(self, cell: str, features: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.rnn = LAYERS[cell](features, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, _ = self.rnn(x)
        return self.fc(out[:, -1])


def autocast(task: Task, precision: str) -> Callable[[], AbstractContextManager[None]]:
    """What a forward pass is to be computed in; sets what float32 products are computed in."""
    if precision not in ("float32", "tf32", *LOW):
        raise ValueError(f"precision={precision}: the bare loops have float32, tf32, {', '.join(LOW)}")
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    if precision not in LOW:
        return nullcontext
    return lambda: torch.autocast(torch.device(task.device).type, LOW[precision])


def open_side(task: Task, *, precision: str = "float32") -> Side:
    computing = autocast(task, precision)
    x, y = (torch.from_numpy(array).to(task.device) for array in task.data())
    model = Net(task.cell, task.features, task.hidden, task.classes).to(task.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    scaler = torch.amp.GradScaler(x.device.type, enabled=precision == "float16")

    def train(updates: int) -> float:
        total, done = torch.zeros((), device=task.device), 0
        while done < updates:
            order = torch.randperm(len(x), device=task.device)
            for batch in order.split(task.batch)[: updates - done]:
                optimizer.zero_grad()
                with computing():
                    loss = functional.cross_entropy(model(x[batch]), y[batch])
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                total += loss.detach()
                done += 1
        return total.item() / updates  # waits for the device

    return Side(train, task.flops)

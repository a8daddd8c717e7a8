"""The bare loop: a stock layer, a linear readout, Adam, batches by index from tensors in memory."""

import torch
from torch import nn
from torch.nn import functional

from tests.bench.task import RATE, Side, Task

LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Net(nn.Module):
    def __init__(self, cell: str, features: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.rnn = LAYERS[cell](features, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, _ = self.rnn(x)
        return self.fc(out[:, -1])


def open_side(task: Task) -> Side:
    x, y = (torch.from_numpy(array) for array in task.data())
    model = Net(task.cell, task.features, task.hidden, task.classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)

    def train(updates: int) -> float:
        total, done = torch.zeros(()), 0
        while done < updates:
            for batch in torch.randperm(len(x)).split(task.batch)[: updates - done]:
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(x[batch]), y[batch])
                loss.backward()
                optimizer.step()
                total += loss.detach()
                done += 1
        return total.item() / updates

    return Side(train, task.flops)

"""The way of the PyTorch examples (`examples/mnist_rnn`): a Dataset of images, a transform for each, a
DataLoader, a line of output every ten batches.

Left out are what the model has beside a recurrent layer and a readout, and the detour of an image through
PIL: this Dataset hands its array straight to the transform, which is faster. The loader has no workers, as
theirs has none on a CPU; `workers` gives it some. Adam in place of Adadelta.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn, optim
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from tests.bench.sides.torch_loop import LAYERS
from tests.bench.task import RATE, Side, Task

LOG_INTERVAL = 10
MEAN, DEVIATION = 0.1307, 0.3081


class Images(Dataset):
    """As `torchvision.datasets.MNIST`: images (N, T, I) uint8, one at a time."""

    def __init__(
        self, data: torch.Tensor, targets: torch.Tensor, transform: Callable[[np.ndarray], torch.Tensor]
    ) -> None:
        self.data, self.targets, self.transform = data, targets, transform

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image, target = self.data[index], int(self.targets[index])
        return self.transform(image.numpy()), target

    def __len__(self) -> int:
        return len(self.data)


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """As `torchvision.transforms.ToTensor`: (T, I) uint8 -> (1, T, I) float32 within 0 … 1."""
    found = torch.from_numpy(image[:, :, None].transpose(2, 0, 1)).contiguous()
    return found.to(dtype=torch.get_default_dtype()).div(255)


def normalize(image: torch.Tensor) -> torch.Tensor:
    """As `torchvision.transforms.Normalize`."""
    mean = torch.as_tensor((MEAN,), dtype=image.dtype).view(-1, 1, 1)
    deviation = torch.as_tensor((DEVIATION,), dtype=image.dtype).view(-1, 1, 1)
    return image.clone().sub_(mean).div_(deviation)


class Net(nn.Module):
    def __init__(self, task: Task) -> None:
        super().__init__()
        self.rnn = LAYERS[task.cell](input_size=task.features, hidden_size=task.hidden, batch_first=True)
        self.fc = nn.Linear(task.hidden, task.classes)
        self.shape = (-1, task.steps, task.features)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        output, _ = self.rnn(input.reshape(self.shape))
        return functional.log_softmax(self.fc(output[:, -1, :]), dim=1)


def open_side(task: Task, *, workers: int = 0) -> Side:
    x, y = task.data()
    images = Images(
        torch.from_numpy((x * 255).astype(np.uint8)),
        torch.from_numpy(y),
        lambda image: normalize(to_tensor(image)),
    )
    loader = DataLoader(images, batch_size=task.batch, shuffle=True, num_workers=workers)
    model = Net(task)
    optimizer = optim.Adam(model.parameters(), lr=RATE)
    model.train()

    def epochs() -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        while True:
            for index, (data, target) in enumerate(loader):
                yield index, data, target

    batches = epochs()

    def train(updates: int) -> None:
        for _ in range(updates):
            index, data, target = next(batches)
            data, target = data.to("cpu"), target.to("cpu")
            optimizer.zero_grad()
            output = model(data)
            loss = functional.nll_loss(output, target)
            loss.backward()
            optimizer.step()
            if index % LOG_INTERVAL == 0:
                print(f"[{index * len(data)}/{len(images)}]\tLoss: {loss.item():.6f}")

    return Side(train, task.flops, facts={"workers": workers})

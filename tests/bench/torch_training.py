"""Training throughput of a torch session against a bare hand-written loop over the same stock layer.

    python tests/bench/torch_training.py --cell lstm --hidden 128

Both train the same model (stock layer, linear readout, Adam, random data) in one process, in alternating
windows, each pair in a fresh order. Prints the median of the pairs' throughput ratios (session over bare,
1 is equal, above 1 is faster) with a 95 % bootstrap interval, and stores the raw windows.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from harness.backends.base import Setup
from harness.backends.torch.backend import open_session
from harness.init import draw
from harness.model import ModelSpec
from harness.optim import OptimizerSpec

N, T, FEATURES, C = 5500, 28, 28, 10  # sequences, time steps, features of each, classes
RATE = 1e-3
LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Bare(nn.Module):
    """What one writes by hand: a stock layer and a linear readout of its last output."""

    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        self.rnn = LAYERS[cell](FEATURES, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, C)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, _ = self.rnn(x)
        return self.readout(out[:, -1])


def bare(arguments: argparse.Namespace, x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], object]:
    """A function that trains on batches (S, B) of indices with plain PyTorch."""
    device = torch.device(arguments.device)
    model = Bare(arguments.cell, arguments.hidden).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    inputs, labels = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)

    def train(batches: np.ndarray) -> None:
        total = torch.zeros((), device=device)
        for batch in torch.from_numpy(batches).to(device):
            loss = functional.cross_entropy(model(inputs[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        total.item()

    return train


def ours(arguments: argparse.Namespace, x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], object]:
    """The same through a session of the harness."""
    options = {"activation": "tanh"} if arguments.cell == "rnn" else {}
    model = ModelSpec(arguments.cell, T, FEATURES, arguments.hidden, C, options=options)
    session = open_session(
        Setup(
            model=model,
            optimizer=OptimizerSpec("adam"),
            implementation="fused",
            device=arguments.device,
            threads=arguments.threads,
        )
    )
    session.put_weights(draw(model, 0))
    session.load("train", x, y)
    return lambda batches: session.train(batches, np.full(len(batches), RATE))


def seconds(train: Callable[[np.ndarray], object], batches: np.ndarray) -> float:
    start = time.perf_counter()
    train(batches)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", choices=sorted(LAYERS), default="lstm")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=30, help="windows of each side")
    parser.add_argument("--steps", type=int, default=20, help="updates in a window")
    parser.add_argument("--output", type=Path, default=None, help="default: results/bench/torch_<cell>.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    rng = np.random.default_rng(0)
    x = rng.random((N, T, FEATURES), dtype=np.float32)
    y = rng.integers(0, C, N)
    sides = {"session": ours(arguments, x, y), "bare": bare(arguments, x, y)}

    def window() -> np.ndarray:
        return rng.integers(0, N, (arguments.steps, arguments.batch_size))

    for train in sides.values():
        train(window())
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(arguments.pairs):
        batches = window()
        for name in rng.permutation(list(sides)):
            taken[name].append(seconds(sides[name], batches))

    ratios = np.array(taken["bare"]) / np.array(taken["session"])
    resampled = np.median(rng.choice(ratios, (10_000, len(ratios))), axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    sequences = arguments.steps * arguments.batch_size
    result = {
        "cell": arguments.cell,
        "hidden": arguments.hidden,
        "batch_size": arguments.batch_size,
        "device": arguments.device,
        "threads": arguments.threads,
        "torch": torch.__version__,
        "ratio": float(np.median(ratios)),
        "ratio_low": float(low),
        "ratio_high": float(high),
        **{f"{name}_throughput": sequences / float(np.median(t)) for name, t in taken.items()},
        **{f"{name}_seconds": t for name, t in taken.items()},
    }
    output = arguments.output or Path("results/bench") / f"torch_{arguments.cell}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    for name in sides:
        print(f"{name:8} {result[f'{name}_throughput']:10.0f} sequences/s")
    print(f"session / bare = {result['ratio']:.3f} (95 % interval {low:.3f} to {high:.3f}); raw: {output}")


if __name__ == "__main__":
    main()

"""What a backend offers: the contract between the runner and a framework.

A backend is a module `harness/backends/<name>/backend.py` with

    implementations(cell) -> tuple[str, ...]    of IMPLEMENTATIONS, without "auto"; () for no such cell
    devices() -> dict[str, str]                 what it can compute on here: {"cpu": "AMD EPYC …"}
    open_session(setup: Setup) -> Session       raises Unavailable for what it does not have

and `harness/backends/<name>/cells/<cell>.py` for every cell that it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from harness.optim import OptimizerSpec
from harness.spec import ModelSpec

IMPLEMENTATIONS = ("auto", "fused", "loop", "compiled")

Weights = dict[str, np.ndarray]  # canonical name -> array of the canonical shape


@dataclass(frozen=True)
class Setup:
    """All that a session is built from. `device` is "cpu", "cuda", "cuda:N", "mps" or "auto"."""

    model: ModelSpec
    optimizer: OptimizerSpec
    implementation: str = "auto"
    engine: str | None = None  # of Keras: "tensorflow", "jax" or "torch"
    device: str = "cpu"
    threads: int = 1
    precision: str = "float32"  # or "float64"


class Outputs(NamedTuple):
    """What a model says about a batch: the top layer's outputs (B, T, D·H) and the logits (B, C)."""

    sequence: np.ndarray
    logits: np.ndarray


class Gradients(NamedTuple):
    """The mean cross-entropy of a batch and its gradient by canonical name, before clipping."""

    loss: float
    gradients: Weights


class Session(Protocol):
    """A model on a device, with its optimiser and its data.

    Nothing here reads a clock: the runner does, between two calls of `synchronize`.
    """

    implementation: str  # what "auto" became: "fused", "loop" or "compiled"
    device: str  # what "auto" became: "cpu", "cuda:0", …
    device_name: str

    @property
    def kernel(self) -> str:
        """The path that computes, as far as it can be told: oneDNN, cuDNN, XLA, Inductor, eager, …"""

    def put_weights(self, weights: Weights) -> None:
        """Takes a copy of canonical weights and sets the optimiser back to its first step."""

    def weights(self) -> Weights:
        """A copy of the present weights, canonical, in the session's precision."""

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        """Keeps a split on the device: x (N, T, I) in the session's precision, y (N,) int64."""

    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Runs S updates on the split "train" without a host synchronisation in between.

        batches (S, B) int64 are indices into the split, rates (S,) the learning rates.
        Returns the S mean losses (S,) float64, each before its update.
        """

    def predict(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """Logits (N, C) of the rows start:stop of every range, one batch each, one after the other."""

    def outputs(self, x: np.ndarray) -> Outputs:
        """Outputs and logits of x (B, T, I), for any B."""

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        """Loss and gradients of x (B, T, I), y (B,); changes neither weights nor optimiser."""

    def matmul(self, size: int, repeats: int) -> None:
        """Does `repeats` products of two (size, size) matrices in the session's precision, one after
        the other, on the session's device and threads; for the measured peak."""

    def synchronize(self) -> None:
        """Returns when the device has nothing left to do."""

    def device_peak_memory_bytes(self) -> int | None:
        """The most device memory held so far, or None on a CPU."""

    def close(self) -> None:
        """Gives threads and memory back."""

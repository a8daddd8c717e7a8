"""What a backend offers: the contract between the runner and a framework.

A backend is a module `harness/backends/<name>/backend.py` with

    implementations(cell) -> tuple[str, ...]    of IMPLEMENTATIONS, without "auto"; () for no such cell
    devices() -> dict[str, str]                 what it can compute on here: {"cpu": "AMD EPYC …"}
    open_session(setup: Setup) -> Session       raises Unavailable for what it does not have

and `harness/backends/<name>/cells/<cell>.py` for every cell that it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec

IMPLEMENTATIONS = ("auto", "fused", "loop", "compiled", "scan")

Weights = dict[str, np.ndarray]  # canonical name -> array of the canonical shape
States = dict[str, np.ndarray]  # canonical state name (`layers.0.forward.h`) -> (B, length)


@dataclass(frozen=True)
class Setup:
    """All that a session is built from. `device` is "cpu", "cuda", "cuda:N", "mps" or "auto"."""

    model: ModelSpec
    optimizer: OptimizerSpec
    implementation: str = "auto"
    engine: str | None = None  # of Keras: "tensorflow", "jax" or "torch"
    device: str = "cpu"
    threads: int = 1
    precision: str = "float32"  # one of harness.model.precision.PRECISIONS
    truncate: int | None = None  # steps of a chunk: each ends with a loss and an update
    seed: int = 0  # of dropout
    shards: int = 1  # of PyTorch on a CPU: processes that a batch is split over
    pad_features: bool = False  # of PyTorch: whether stock layers read zeros beside the features

    def mask_shape(self, batch: int) -> tuple[int, int, int, int]:
        """Of what an update of B sequences drops: (layers - 1, B, T, D·H), T the outputs of a layer in it."""
        model = self.model
        outputs = 1 if model.spec.single_output else self.truncate or model.steps
        return model.layers - 1, batch, outputs, model.width


class Outputs(NamedTuple):
    """What a model says about a batch.

    sequence  the top layer's outputs, in the order of the inputs (B, T, D·H); T = 1 where SPEC says
              `single_output`
    last      the last output of each direction, in the order in which it reads (B, D·H)
    logits    (B, C)
    states    every final state by canonical name: (B, length); of the backward direction the one after
              the first time step, where it ends
    """

    sequence: np.ndarray
    last: np.ndarray
    logits: np.ndarray
    states: States


class Gradients(NamedTuple):
    """A batch's loss and its gradient by canonical name, before clipping.

    The loss is the mean cross-entropy, plus the cell's penalty where it has one. What is not trained has
    a gradient of zeros.
    """

    loss: float
    gradients: Weights


class Session(Protocol):
    """A model on a device, with its optimiser and its data.

    Nothing here reads a clock: the runner does, between two calls of `synchronize`. What does not fit the
    model, or its data, is refused by ValueError with the same message in every backend, see `checks`.
    """

    implementation: str  # what "auto" became: one of the others
    device: str  # what "auto" became: "cpu", "cuda:0", …
    device_name: str
    steps_per_launch: int  # training steps that the device makes as one program, if several; else 1

    @property
    def kernel(self) -> str:
        """The path that computes, as far as it can be told: oneDNN, cuDNN, XLA, Inductor, eager, …"""

    def put_weights(self, weights: Weights) -> None:
        """Takes a copy of canonical weights, sets the optimiser back to its first step and dropout to the
        beginning of epoch 0."""

    def weights(self) -> Weights:
        """A copy of the present weights, canonical, in the type that the precision holds them in."""

    def optimizer_state(self) -> Weights:
        """A copy of all that an update reads and changes beside the weights: `step`, the updates so far (),
        and `slot.<slot>.<parameter>` of every slot of
        `harness.model.optimizer.SLOTS`, in the parameter's shape."""

    def put_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes a copy of what any backend's `optimizer_state` gave for the same model and optimiser;
        raises ValueError for anything else."""

    def begin_epoch(self, epoch: int) -> None:
        """What is dropped from here on depends on the seed, on this epoch, counted from 0, and on the
        updates made in it, and on nothing that came before."""

    def dropout_masks(self, epoch: int, batch: int, count: int) -> list[np.ndarray]:
        """What the outputs between layers are multiplied by in the first `count` updates of an epoch, on
        batches of B sequences: each of `Setup.mask_shape`, 0 or 1 / (1 - dropout). Changes nothing."""

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        """Keeps a split on the device: x (N, T, I) in the type of the weights, y (N,) int64."""

    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Runs S updates on the split "train" without a host synchronisation in between.

        batches (S, B) int64 are indices into the split, rates (S,) the learning rates.
        Returns the S mean losses (S,) float64, each before its update.

        With `truncate=k` every batch makes T/k updates at its rate: the sequences are cut into chunks of
        k steps, each ends with a loss (the readout over its own outputs, the penalty over its own steps)
        and an update, its final states are the next one's first, and no gradient crosses over. The loss
        is then the mean over the chunks.
        """

    def predict(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """Logits (N, C) of the rows start:stop of every range, one batch each, one after the other."""

    def features(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """What the readout reads (N, D·H), of the rows of every range, as in `predict`."""

    def outputs(self, x: np.ndarray) -> Outputs:
        """Outputs of x (B, T, I), for any B, from the model's initial states; carries nothing."""

    def advance(self, x: np.ndarray) -> Outputs:
        """Outputs of x (B, t, I), any t ≥ 1, read on from the carried states, which move along.

        Logits and `last` are those of these t steps alone.
        """

    def read_on(self, x: np.ndarray, *, sequence: bool = False) -> np.ndarray:
        """Only the logits (B, C) of `advance`, or only its sequence (B, t, D·H): nothing else is copied to
        the host, so that a step can be timed."""

    def states(self) -> States:
        """The carried states by canonical name; empty before the first `advance`."""

    def put_states(self, states: Mapping[str, np.ndarray]) -> None:
        """Carries these states from here on, each (B, length); others stay as they are."""

    def reset(self, *names: str) -> None:
        """Puts carried states back to the model's initial ones: those of these names, or all."""

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        """Loss and gradients of x (B, T, I), y (B,), without dropout; changes neither weights nor
        optimiser."""

    def matmul(self, m: int, k: int, n: int, repeats: int) -> None:
        """Multiplies a batch (m, k) by weights (k, n) and the result by their transpose, `repeats` times,
        each product after the one before: 4·m·k·n FLOPs each time. In the session's precision, on its
        device and threads, laid out and shared out as in training; for the measured peak."""

    def synchronize(self) -> None:
        """Returns when the device has nothing left to do."""

    def device_peak_memory_bytes(self) -> int | None:
        """The most device memory held so far, or None on a CPU."""

    def details(self) -> dict[str, Any]:
        """What a record's details say of how it computes, beside `kernel`, as plain data."""

    def close(self) -> None:
        """Gives threads and memory back."""

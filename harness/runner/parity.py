"""How far a session is from the float64 NumPy reference, measured on one batch of the run's own data."""

from dataclasses import dataclass, replace

import numpy as np

from harness.backends.base import Session, Setup, Weights
from harness.backends.numpy.backend import NumpySession, open_session
from harness.errors import ParityFailed
from harness.model.network import ModelSpec

NUMBERS = 2**21  # of each kind that the reference keeps at most, for its backward: 16 MiB

# Of tf32 and bfloat16 about twice the largest distance that was found over cells, readouts and directions:
# 0.03 (products rounded to ten bits on a CPU) and 0.08. Wherever a ReLU or a maximum is decided otherwise
# the gradient jumps; most models are ten times closer. A wrong gate is at 1.
LIMITS = {"float32": 1e-4, "float64": 1e-7, "tf32": 5e-2, "bfloat16": 2e-1}


@dataclass(frozen=True)
class Parity:
    """Relative distances: |Δloss| / loss, and the largest ‖Δg‖₂ / ‖g‖₂ of any parameter."""

    loss: float
    gradient: float
    worst: str  # the parameter of that largest distance
    limit: float
    gradients: dict[str, float]  # by canonical name
    sequences: int  # over how many


def max_sequences(model: ModelSpec) -> int:
    """How many sequences are compared at most: what the reference keeps grows with all their outputs."""
    return max(1, NUMBERS // (model.steps * model.layers * model.width))


def open_reference(setup: Setup, weights: Weights) -> NumpySession:
    """The float64 NumPy session of a model, at these weights."""
    reference = open_session(
        replace(setup, implementation="auto", engine=None, device="cpu", precision="float64", threads=1)
    )
    reference.put_weights(weights)
    return reference


def measure(session: Session, setup: Setup, weights: Weights, x: np.ndarray, y: np.ndarray) -> Parity:
    """Distances of the loss and gradients of x (B, T, I), y (B,) at `weights`, which `session` holds."""
    reference = open_reference(setup, weights)
    expected, actual = reference.gradients(x, y), session.gradients(x, y)
    reference.close()
    gradients = {name: _distance(actual.gradients[name], g) for name, g in expected.gradients.items()}
    worst = max(gradients, key=lambda name: gradients[name])
    return Parity(
        loss=abs(actual.loss - expected.loss) / max(abs(expected.loss), np.finfo(np.float64).tiny),
        gradient=gradients[worst],
        worst=worst,
        limit=LIMITS[setup.precision],
        gradients=gradients,
        sequences=len(x),
    )


def check_limit(parity: Parity) -> None:
    """Raises ParityFailed where a distance is above its limit, or is no number at all."""
    if not parity.gradient <= parity.limit or not parity.loss <= parity.limit:
        raise ParityFailed(
            f"distance from the reference above {parity.limit:g}: "
            f"loss {parity.loss:.1e}, gradient {parity.gradient:.1e} ({parity.worst})"
        )


def _distance(actual: np.ndarray, expected: np.ndarray) -> float:
    """‖found - expected‖₂ / ‖expected‖₂; infinite where something is not finite (NaN hides in max)."""
    norm = float(np.linalg.norm(expected))
    difference = float(np.linalg.norm(actual.astype(np.float64) - expected))
    if norm == 0.0:
        return 0.0 if difference == 0.0 else float("inf")
    return difference / norm if np.isfinite(difference) else float("inf")

"""What the reference sees in a backend's weights: how far gradients flow back, what counters count."""

import numpy as np

from harness.backends.base import Session, Setup, Weights
from harness.backends.numpy.reference import Reference


def gradient_flow(setup: Setup, weights: Weights, x: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """‖∂L/∂h_t‖ for every t, by layer and direction, on x (B, T, I), y (B,), in float64; see
    `NumpySession.gradient_flow`."""
    reference = Reference(setup, weights, batch=len(x))
    gradient_norms = reference.gradient_flow(x, y)
    reference.close()
    return {name: norms.tolist() for name, norms in gradient_norms.items()}


def counters(session: Session, setup: Setup, x: np.ndarray) -> dict[str, float]:
    """What a cell's counting states have counted, mean over sequences and steps of x (B, T, I)."""
    names = {state.name for state in setup.model.spec.state if state.counter}
    if not names:
        return {}
    states = session.outputs(x).states
    return {
        name: float(state.mean()) / x.shape[1]
        for name, state in states.items()
        if name.rpartition(".")[2] in names
    }

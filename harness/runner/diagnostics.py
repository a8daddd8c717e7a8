"""What the reference sees in a backend's weights: how far gradients flow back, what counters count."""

from dataclasses import replace

import numpy as np

from harness.backends.base import Session, Setup, Weights
from harness.backends.numpy.backend import open_session as open_reference


def gradient_flow(setup: Setup, weights: Weights, x: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """‖∂L/∂h_t‖ for every t, by layer and direction, on x (B, T, I), y (B,), in float64; see
    `NumpySession.gradient_flow`."""
    reference = open_reference(
        replace(setup, implementation="auto", engine=None, device="cpu", precision="float64", threads=1)
    )
    reference.put_weights(weights)
    found = reference.gradient_flow(x, y)
    reference.close()
    return {name: norms.tolist() for name, norms in found.items()}


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

"""A benchmark harness for recurrent networks: same mathematics, honest time, nothing lost.

`harness.run(["backend=torch", "cell=gru"])` makes one run and returns its record;
`harness.load("results")` reads every stored run into a pandas DataFrame;
`harness.open_session(["backend=torch", "cell=gru"])` is a model to feed by hand: outputs, states, gradients;
`harness.weights` reads and writes weights, and converts them from and to plain PyTorch and Keras.
"""

from typing import TYPE_CHECKING

__all__ = ["RunRecord", "__version__", "load", "open_session", "run", "weights"]

if TYPE_CHECKING:
    from harness.api import open_session, run
    from harness.measure.machine import HARNESS_VERSION as __version__
    from harness.store import weights
    from harness.store.frames import load
    from harness.store.record import RunRecord


def __getattr__(name: str) -> object:
    """Loads pandas, Hydra and the rest only when they are asked for: `import harness` stays quick."""
    from importlib import import_module

    if name == "weights":
        return import_module("harness.store.weights")
    if name == "__version__":
        return import_module("harness.measure.machine").HARNESS_VERSION
    rooms = {
        "run": "harness.api",
        "open_session": "harness.api",
        "load": "harness.store.frames",
        "RunRecord": "harness.store.record",
    }
    if name not in rooms:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(rooms[name]), name)

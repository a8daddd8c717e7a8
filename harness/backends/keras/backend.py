"""The Keras backend: sessions on TensorFlow, JAX or PyTorch, on a CPU or an NVIDIA GPU.

Keras is imported when a session is opened, not before: what it computes on is decided by then, and
which cells there are can be told without it.
"""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from harness.backends.base import Session, Setup
from harness.backends.implementations import implementations_in, resolve_implementation
from harness.backends.keras import DEFAULT_ENGINE, ENGINES
from harness.backends.keras.engines import Engine, environment
from harness.errors import Unavailable
from harness.model.precision import held_in

CELLS = Path(__file__).parent / "cells"


def implementations(cell: str) -> tuple[str, ...]:
    """What the cell's file offers: "fused" where Keras has a stock layer, "loop", "compiled", "scan"."""
    return implementations_in(CELLS, cell)


def devices() -> dict[str, str]:
    """What Keras can compute on here, on the engine that KERAS_BACKEND names, else TensorFlow."""
    engine = os.environ.get("KERAS_BACKEND", DEFAULT_ENGINE)
    return start_engine(engine, threads=os.cpu_count() or 1).devices()


def open_session(setup: Setup) -> Session:
    """A session for a setup; raises Unavailable for a cell, an implementation, an engine, a device or
    a precision that is not here."""
    cell = setup.model.cell
    implementation = resolve_implementation("keras", cell, setup.implementation, implementations(cell))
    if setup.precision != held_in(setup.precision):
        raise Unavailable(f"precision={setup.precision}: keras computes in float32 and float64 only")
    kind = start_engine(setup.engine or DEFAULT_ENGINE, threads=setup.threads)
    here = kind.devices()
    device = resolve(setup.device, here)
    _check_precision(setup.precision, setup.engine or DEFAULT_ENGINE)
    engine = kind(device, threads=setup.threads, precision=setup.precision)
    from harness.backends.keras.session import KerasSession

    return KerasSession(setup, engine, implementation=implementation, device=device, device_name=here[device])


def start_engine(name: str, *, threads: int) -> type[Engine]:
    """The engine's class, after Keras was imported on it; raises Unavailable."""
    if name not in ENGINES:
        raise Unavailable(f"keras has no engine {name}; it has: {', '.join(ENGINES)}")
    missing = [package for package in ("keras", name) if find_spec(package) is None]
    if missing:
        raise Unavailable(f"keras on {name}: {' and '.join(missing)} is not installed; {_install(name)}")
    if "keras" not in sys.modules:
        os.environ.update(environment(name, threads))
    try:
        import keras
    except Exception as error:  # a broken package may raise anything while it is imported
        raise Unavailable(
            f"keras on {name} cannot be imported here ({type(error).__name__}: {error}); {_install(name)}"
        ) from error
    if keras.backend.backend() != name:
        raise Unavailable(
            f"backend.engine={name}: Keras has already started on {keras.backend.backend()} in this process; "
            f"set KERAS_BACKEND={name} before it is imported"
        )
    engine: type[Engine] = import_module(f"harness.backends.keras.engines.{name}").Engine
    return engine


def _install(engine: str) -> str:
    return f"install it: pip install -c constraints.txt keras {engine}"


def _check_precision(precision: str, engine: str) -> None:
    """Keras promotes 64-bit types to 32-bit ones on every engine but TensorFlow, whatever a layer's dtype."""
    from keras.backend import result_type

    computed = result_type(precision, precision)
    if computed != precision:
        raise Unavailable(
            f"precision={precision}: Keras on {engine} computes in {computed} instead; "
            "use backend.engine=tensorflow or precision=float32"
        )


def resolve(device: str, here: dict[str, str]) -> str:
    """ "auto" -> the first GPU, else the CPU; "cuda" -> the first GPU; raises Unavailable."""
    if device == "auto":
        return next((name for name in here if name != "cpu"), "cpu")
    name = "cuda:0" if device == "cuda" else device
    if name not in here:
        raise Unavailable(f"device={device}: Keras has no such device here; available: {', '.join(here)}")
    return name

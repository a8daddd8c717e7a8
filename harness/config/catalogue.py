"""What exists: cells, backends, and what a backend's folder says about itself. Nothing is registered.

No framework is imported for any of this.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from harness.errors import Unavailable

_HARNESS = Path(__file__).parents[1]
CUDA_LIBRARIES = tuple(  # distributions without a suffix are those of CUDA 13
    f"nvidia-{library}{suffix}"
    for library in ("cuda-runtime", "cuda-nvrtc", "cuda-nvcc", "cublas", "cudnn")
    for suffix in ("", "-cu12", "-cu13")
)


def cell_names() -> list[str]:
    """The files of `harness/cells/`."""
    return sorted(path.stem for path in (_HARNESS / "cells").glob("*.py") if path.stem != "__init__")


def backend_names() -> list[str]:
    """The folders of `harness/backends/` that have a `backend.py`."""
    return sorted(path.parent.name for path in (_HARNESS / "backends").glob("*/backend.py"))


def backend_module(backend: str) -> ModuleType:
    """A backend's `backend.py`, with the functions described in `harness.backends.base`."""
    return import_module(f"harness.backends.{backend}.backend")


def implementations(backend: str, cell: str) -> tuple[str, ...]:
    """The implementations that a backend has of a cell, () for none; raises Unavailable for a backend that
    cannot be imported here."""
    try:
        module = backend_module(backend)
    except ImportError as error:
        raise Unavailable(
            f"{backend} cannot be imported here ({error}); install it: {install_command(packages(backend))}"
        ) from error
    return tuple(module.implementations(cell))


def engines(backend: str) -> tuple[str, ...]:
    """The values of `backend.engine` that a backend takes, its default first; () where it has no engines."""
    return tuple(_package(backend).ENGINES)


def all_engines() -> tuple[str, ...]:
    """The engines of all backends."""
    return tuple(dict.fromkeys(engine for backend in backend_names() for engine in engines(backend)))


def device_kinds(backend: str) -> tuple[str, ...]:
    """The kinds of devices that a backend may compute on: "cpu", "cuda", "mps"."""
    return tuple(_package(backend).DEVICES)


def shard_devices(backend: str) -> tuple[str, ...]:
    """The kinds of devices on which a backend takes a `backend.shards` above 1."""
    return tuple(getattr(_package(backend), "SHARD_DEVICES", ()))


def pads_features(backend: str) -> bool:
    """Whether a backend takes `backend.pad_features=true`."""
    return bool(getattr(_package(backend), "PADS_FEATURES", False))


def waits_in_libgomp(backend: str, engine: str | None) -> bool:
    """Whether threads of such a run wait for each other in libgomp."""
    return not set(packages(backend, engine)).isdisjoint(getattr(_package(backend), "LIBGOMP", ()))


def packages(backend: str, engine: str | None = None) -> tuple[str, ...]:
    """The distributions that a run needs: the backend's and the engine's, by default its first engine's."""
    package = _package(backend)
    used = engine or next(iter(package.ENGINES), None)
    return (*package.PACKAGES, *(package.ENGINES[used] if used else ()))


def all_packages() -> tuple[str, ...]:
    """The distributions that the backends need, with all of their engines."""
    return _of_all(packages)


def cuda_packages(backend: str, engine: str | None = None) -> tuple[str, ...]:
    """The distributions on which, besides `packages`, a run on an NVIDIA GPU depends where they are
    installed: CUDA's libraries, and what generates kernels."""
    package = _package(backend)
    used = engine or next(iter(package.ENGINES), None)
    return (*CUDA_LIBRARIES, *getattr(package, "CUDA_PACKAGES", {}).get(used, ()))


def all_cuda_packages() -> tuple[str, ...]:
    """Those of all backends and engines."""
    return _of_all(cuda_packages)


def _of_all(distributions: Callable[[str, str | None], tuple[str, ...]]) -> tuple[str, ...]:
    """Those of every backend with each of its engines, each once."""
    names = (
        name
        for backend in backend_names()
        for engine in engines(backend) or (None,)
        for name in distributions(backend, engine)
    )
    return tuple(dict.fromkeys(names))


def missing_packages(backend: str, engine: str | None = None) -> list[str]:
    """Those of `packages` that are not installed."""
    return [name for name in packages(backend, engine) if find_spec(name) is None]


def unused_packages(backend: str, engine: str | None = None) -> list[str]:
    """Packages that a framework imports where they are installed, although a run with that engine does not
    use them."""
    used = packages(backend, engine)
    return [*_package(backend).UNUSED, *(name for name in engines(backend) if name not in used)]


def install_command(names: Iterable[str]) -> str:
    """What to type where distributions are missing."""
    return f"pip install -c constraints.txt {' '.join(names)}"


def _package(backend: str) -> ModuleType:
    """The `__init__.py` of a backend's folder."""
    return import_module(f"harness.backends.{backend}")

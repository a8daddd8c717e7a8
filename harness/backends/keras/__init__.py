"""The Keras backend. Keras is not imported here, so that what the backend needs is known without it."""

from pathlib import Path

PACKAGES = ("keras",)
DEVICES = ("cpu", "cuda")
SHARD_DEVICES: tuple[str, ...] = ()
LIBGOMP = ("torch",)  # distributions whose threads wait for each other in it
UNUSED = ("matplotlib", "pandas", "pynvml", "sklearn")  # frameworks import them if installed, for no run
DEFAULT_ENGINE = "tensorflow"
_FILES = sorted(path.stem for path in (Path(__file__).parent / "engines").glob("[!_]*.py"))
_FURTHER = {"jax": ("jaxlib",)}  # packages of an engine besides the one that it is named for
CUDA_PACKAGES = {  # what an engine computes with on NVIDIA GPUs, by engine
    "jax": tuple(f"jax-cuda{version}-{part}" for version in (12, 13) for part in ("plugin", "pjrt")),
    "torch": ("triton",),
}
ENGINES = {
    name: (name, *_FURTHER.get(name, ()))
    for name in (DEFAULT_ENGINE, *(name for name in _FILES if name != DEFAULT_ENGINE))
}

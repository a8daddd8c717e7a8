"""The PyTorch backend. Nothing is imported here, so that the folder can be asked what it needs."""

PACKAGES = ("torch",)
DEVICES = ("cpu", "cuda", "mps")
UNUSED: tuple[str, ...] = ()
ENGINES: dict[str, tuple[str, ...]] = {}

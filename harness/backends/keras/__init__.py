"""The Keras backend. Nothing is imported here, so that the folder can be asked what it needs."""

PACKAGES = ("keras", "tensorflow")
DEVICES = ("cpu", "cuda")
UNUSED = ("matplotlib", "pandas", "sklearn")  # imported by the framework if installed, used by no run
ENGINES: tuple[str, ...] = ("tensorflow", "jax", "torch")

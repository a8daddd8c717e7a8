"""The Keras backend. Nothing is imported here, so that the folder can be asked what it needs."""

PACKAGES = ("keras", "tensorflow")
DEVICES = ("cpu", "cuda")
ENGINES: tuple[str, ...] = ("tensorflow", "jax", "torch")

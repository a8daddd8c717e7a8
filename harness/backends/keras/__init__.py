"""The Keras backend. Keras is not imported here, so that what the backend needs is known without it."""

PACKAGES = ("keras",)
DEVICES = ("cpu", "cuda")
UNUSED = ("matplotlib", "pandas", "sklearn")  # imported by the framework if installed, used by no run
ENGINES = {"tensorflow": ("tensorflow",), "jax": ("jax", "jaxlib"), "torch": ("torch",)}
DEFAULT_ENGINE = next(iter(ENGINES))

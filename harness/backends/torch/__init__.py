"""The PyTorch backend. Nothing is imported here, so that the folder can be asked what it needs."""

PACKAGES = ("torch",)
DEVICES = ("cpu", "cuda", "mps")
SHARD_DEVICES = ("cpu",)  # where a batch may be split over processes
PADS_FEATURES = True  # beside which a stock layer reads zeros
LIBGOMP = ("torch",)  # distributions whose threads wait for each other in it
UNUSED: tuple[str, ...] = ()
ENGINES: dict[str, tuple[str, ...]] = {}

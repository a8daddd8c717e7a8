"""The PyTorch backend. Nothing is imported here, so that the folder can be asked what it needs."""

PACKAGES = ("torch",)
DEVICES = ("cpu", "cuda", "mps")
SHARD_DEVICES = ("cpu",)  # where a batch may be split over processes
LIBGOMP = ("torch",)  # distributions whose threads wait for each other in it
CUDA_PACKAGES = {None: ("triton",)}  # what generates its kernels on NVIDIA GPUs
UNUSED = ("pynvml",)  # imported by the framework if installed, used by no run through it
ENGINES: dict[str, tuple[str, ...]] = {}

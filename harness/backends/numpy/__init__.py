"""The NumPy backend: the reference in float64, a contender in float32."""

PACKAGES = ("numpy", "threadpoolctl")
DEVICES = ("cpu",)
SHARD_DEVICES: tuple[str, ...] = ()
UNUSED: tuple[str, ...] = ()
ENGINES: dict[str, tuple[str, ...]] = {}

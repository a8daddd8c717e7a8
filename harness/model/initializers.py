"""The only initialisers: NumPy draws every weight once, each from its own random stream.

The stream of a parameter is `default_rng([seed, crc32(canonical name)])`, so that an added layer or
direction changes no other weight, and every backend starts from the same numbers. Fans are those of
the canonical matrix, one gate at a time.
"""

import math
from zlib import crc32

import numpy as np

from harness.errors import ConfigError
from harness.model.cell import Param, Shape
from harness.model.network import ModelSpec


def stream(seed: int, name: str) -> np.random.Generator:
    """The random stream that belongs to a name, independent of every other name's."""
    return np.random.default_rng([seed, crc32(name.encode())])


def draw(model: ModelSpec, seed: int, scheme: str) -> dict[str, np.ndarray]:
    """Initial weights (float64) of a model by canonical name, by one of `SCHEMES`.

    Learned initial states start at 0, and reservoirs are drawn as the cell's options say, in every scheme.
    """
    weights: dict[str, np.ndarray] = {}
    for name, (param, shape) in model.params().items():
        rng = stream(seed, name)
        if param.role == "initial state":
            weights[name] = np.zeros(shape)
        elif param.role in ("reservoir", "reservoir input"):
            weights[name] = _reservoir(rng, param, shape, model)
        else:
            in_layer = name.startswith("layers.")
            rule = SCHEMES[scheme]
            if rule is irnn and not in_layer:
                rule = keras
            weights[name] = rule(rng, param, shape, model.hidden if in_layer else model.width)
    return weights


def keras(rng: np.random.Generator, param: Param, shape: Shape, fan: int) -> np.ndarray:
    """Matrices are Glorot-uniform (Glorot and Bengio 2010), recurrent matrices orthogonal (Saxe et al. 2014);
    symmetric ones have eigenvalues of ±1. The cell's `SPEC` says how vectors and biases start: mostly at 0,
    the forget gate's bias at 1 (Gers et al. 2000)."""
    if param.role in ("bias", "diagonal"):
        if isinstance(param.initial, tuple):
            return rng.uniform(*param.initial, shape)
        return np.full(shape, param.initial)
    if param.role == "recurrent":
        return orthogonal(rng, shape[0])
    if param.role == "symmetric":
        q = orthogonal(rng, shape[0])
        return (q * rng.choice([-1.0, 1.0], shape[0])) @ q.T
    bound = math.sqrt(6.0 / (math.prod(shape[:-1]) + shape[-1]))
    return rng.uniform(-bound, bound, shape)


def torch(rng: np.random.Generator, param: Param, shape: Shape, fan: int) -> np.ndarray:
    """Everything is uniform within ±1/√H, the readout within ±1/√(D·H)."""
    bound = 1.0 / math.sqrt(fan)
    return rng.uniform(-bound, bound, shape)


def irnn(rng: np.random.Generator, param: Param, shape: Shape, fan: int) -> np.ndarray:
    """Recurrent matrices are the identity, input matrices normal with deviation 0.001, biases 0 (Le, Jaitly,
    Hinton 2015); vectors are as in `keras`, and so is the readout."""
    if param.role == "bias":
        return np.zeros(shape)
    if param.role in ("recurrent", "symmetric"):
        return np.eye(shape[0])
    if param.role == "diagonal":
        return keras(rng, param, shape, fan)
    return rng.normal(0.0, 0.001, shape)


SCHEMES = {scheme.__name__: scheme for scheme in (keras, torch, irnn)}


def _reservoir(rng: np.random.Generator, param: Param, shape: Shape, model: ModelSpec) -> np.ndarray:
    """Input weights uniform within ±`input_scale`; the reservoir normal where a unit is connected
    (`density`), scaled to `spectral_radius` (Jaeger 2001)."""
    if param.role == "reservoir input":
        scale = float(model.options["input_scale"])
        return rng.uniform(-scale, scale, shape)
    W = rng.normal(size=shape) * (rng.random(shape) < float(model.options["density"]))
    radius = float(np.max(np.abs(np.linalg.eigvals(W))))
    if radius < 1e-9:
        raise ConfigError(
            f"cell.density={model.options['density']}: leaves no cycle among {shape[0]} units, so that the "
            "reservoir has no spectral radius; choose a larger one, or more units"
        )
    return W * (float(model.options["spectral_radius"]) / radius)


def orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random orthogonal matrix (size, size), uniform over the group: QR of a normal matrix, the signs
    of R's diagonal moved into Q (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.normal(size=(size, size)))
    return q * np.sign(np.diag(r))

"""Precisions: in which type numbers are held, and in which they are multiplied.

float32, float64   both in that type
tf32               held in float32; matrix products read ten bits of each mantissa, sums are float32
bfloat16, float16  weights, optimiser, readout and loss in float32; the layers compute in that type
"""

PRECISIONS = ("float32", "float64", "tf32", "bfloat16", "float16")


def held_in(precision: str) -> str:
    """The type of weights, data and gradients, as NumPy names it."""
    return "float64" if precision == "float64" else "float32"

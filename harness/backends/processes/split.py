"""How rows, or threads, are shared out."""

from itertools import pairwise


def split_evenly(size: int, count: int) -> list[slice]:
    """`size` items cut into `count` contiguous parts whose sizes differ by one at most."""
    edges = [size * k // count for k in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]

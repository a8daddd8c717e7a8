"""Where canonical numbers lie in the arrays that a framework stores.

It is found by looking: the weights are packed with numbers that are all different, and then sought in
what comes out. Nothing here knows a cell, an order of gates or a framework.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise, permutations, product

import numpy as np

from harness.model.cell import Shape

Box = tuple[slice, ...]  # one slice for each axis


@dataclass(frozen=True)
class Piece:
    """A box of a stored array and what fills it: a canonical parameter, or None where nothing does.

    `moved` says in words what was done to the parameter's axes on the way, "" for nothing.
    """

    box: Box
    source: str | None
    moved: str = ""


@dataclass(frozen=True)
class StoredArray:
    """An array as a framework stores it, and all of its pieces, in the order of their places."""

    name: str
    shape: Shape
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def redundant(self) -> int:
        """How many of its numbers no canonical parameter fills."""
        return sum(volume(piece.box) for piece in self.pieces if piece.source is None)


def stored_arrays(
    pack: Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]],
    params: Mapping[str, tuple[tuple[str, ...], Shape]],
) -> list[StoredArray]:
    """Every array that `pack` makes of parameters with these (letters, shape), and its pieces."""
    marks: dict[str, np.ndarray] = {}
    start = 1
    for name, (_, shape) in params.items():
        size = int(np.prod(shape, dtype=np.int64))
        marks[name] = np.arange(start, start + size, dtype=np.float64).reshape(shape)
        start += size
    arrays = []
    for name, array in pack(dict(marks)).items():
        shape = tuple(array.shape)
        arrays.append(StoredArray(name, shape, tuple(_pieces(array, marks, params))))
    return arrays


def _pieces(
    array: np.ndarray, marks: Mapping[str, np.ndarray], params: Mapping[str, tuple[tuple[str, ...], Shape]]
) -> list[Piece]:
    pieces = [Piece(box, None) for box in boxes(array == 0)]
    known = array == 0
    for name, mark in marks.items():
        if mark.size == 0:
            continue
        own = (array >= mark.flat[0]) & (array <= mark.flat[-1]) & (array % 1 == 0)
        known |= own
        pieces += [Piece(box, name, _moved(array[box], mark, params[name][0])) for box in boxes(own)]
    pieces += [Piece(box, "computed from the weights") for box in boxes(~known)]
    return sorted(pieces, key=lambda piece: [along.start for along in piece.box])


def _moved(block: np.ndarray, mark: np.ndarray, letters: tuple[str, ...]) -> str:
    """How a parameter lies in a block, in words."""
    axes = tuple(range(mark.ndim))
    ways = [(order, flips) for order in permutations(axes) for flips in product((1, -1), repeat=mark.ndim)]
    for flat in (False, True):
        for order, flips in ways:
            turned = mark.transpose(order)[tuple(slice(None, None, step) for step in flips)]
            fits = turned.size == block.size if flat else turned.shape == block.shape
            if not fits or not np.array_equal(turned.reshape(block.shape), block):
                continue
            words = ["reshaped"] if flat and mark.ndim > 1 else []
            if order != axes:
                by_letter = f"axes {', '.join(letters[k] for k in order)}"
                words.append("transposed" if mark.ndim == 2 else by_letter)
            words += [f"{letters[k]} reversed" for k, step in zip(order, flips, strict=True) if step < 0]
            return ", ".join(words)
    return "a part" if block.size < mark.size else "rearranged"


def boxes(mask: np.ndarray) -> list[Box]:
    """The true places of a mask as boxes: runs of equal rows, and each row's own boxes in turn."""
    if mask.ndim == 0:
        return [()] if mask else []
    if not mask.any():
        return []
    changed = (mask[1:] != mask[:-1]).any(axis=tuple(range(1, mask.ndim)))
    edges = [0, *(np.flatnonzero(changed) + 1).tolist(), len(mask)]
    return [(slice(a, b), *inner) for a, b in pairwise(edges) for inner in boxes(mask[a])]


def volume(box: Box) -> int:
    return int(np.prod([along.stop - along.start for along in box], dtype=np.int64))


def place(box: Box, shape: Shape) -> str:
    """A box in words: `rows 0:128`, `row 1, columns 0:256`, `[:, 2, 0:5]`; "" for the whole array."""
    whole = [(along.start, along.stop) == (0, n) for along, n in zip(box, shape, strict=True)]
    if all(whole):
        return ""
    if len(shape) > 2:
        parts = [":" if all_of_it else _range(along) for along, all_of_it in zip(box, whole, strict=True)]
        return f"[{', '.join(parts)}]"
    names = ("row", "column")[: len(shape)] if len(shape) == 2 else ("entry",)
    return ", ".join(
        f"{name if _range(along).isdecimal() else PLURAL[name]} {_range(along)}"
        for name, along, all_of_it in zip(names, box, whole, strict=True)
        if not all_of_it
    )


PLURAL = {"row": "rows", "column": "columns", "entry": "entries"}


def _range(along: slice) -> str:
    return str(along.start) if along.stop == along.start + 1 else f"{along.start}:{along.stop}"

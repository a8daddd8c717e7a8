"""Stratified splits: every class in its proportion."""

import numpy as np


def class_shares(labels: np.ndarray, size: int) -> np.ndarray:
    """How many examples of each class (C,) make up `size` of the examples with these labels (N,).

    Every class gives its share, but keeps at least one example. Shares are rounded down; the remaining
    examples come from the classes with the largest remainders.
    """
    counts = np.bincount(labels)
    shares, remainders = np.divmod(counts * size, len(labels))
    shares = np.minimum(shares, counts - 1)
    remainders[shares + 1 >= counts] = 0
    more = np.argsort(-remainders, kind="stable")[: size - shares.sum()]
    shares[more] += remainders[more] > 0
    return shares


def stratified(labels: np.ndarray, rows: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits `rows` into (the others, `size` of them): the first rows of each class, as many as its share."""
    y = labels[rows]
    counts = np.bincount(y)
    by_class = np.argsort(y, kind="stable")
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    selected = np.zeros(len(rows), bool)
    selected[by_class] = rank < np.repeat(class_shares(y, size), counts)
    return rows[~selected], rows[selected]

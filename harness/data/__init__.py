"""Datasets, from verified files or from a file of your own, and their images as sequences.

`harness.config.dataset` opens the dataset that a configuration asks for.
"""

from harness.data.dataset import SPLITS, Dataset, Shape, Split, default_root, load
from harness.data.fetch import fetch_missing
from harness.data.mnist import DATASETS
from harness.data.own_sequences import NPZ
from harness.data.sequence import NORMALIZE, SEQUENCES, permutation_hash, shape, to_float, view

__all__ = [
    "DATASETS",
    "NORMALIZE",
    "NPZ",
    "SEQUENCES",
    "SPLITS",
    "Dataset",
    "Shape",
    "Split",
    "default_root",
    "fetch_missing",
    "load",
    "permutation_hash",
    "shape",
    "to_float",
    "view",
]

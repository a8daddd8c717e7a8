"""Datasets: verified files, or a person's own; and their images as sequences.

What of it a configuration chooses is in `harness.config.dataset`.
"""

from harness.data.dataset import SPLITS, Dataset, Part, Shape, default_root, load
from harness.data.fetch import fetch_missing
from harness.data.mnist import DATASETS
from harness.data.npz import OWN
from harness.data.sequence import NORMALIZE, SEQUENCES, permutation_hash, shape, to_float, view

__all__ = [
    "DATASETS",
    "NORMALIZE",
    "OWN",
    "SEQUENCES",
    "SPLITS",
    "Dataset",
    "Part",
    "Shape",
    "default_root",
    "fetch_missing",
    "load",
    "permutation_hash",
    "shape",
    "to_float",
    "view",
]

"""Datasets (verified files) and their views as sequences.

fetch_missing("mnist", root, progress=True)     # once; nothing to do for "digits"
dataset = load("mnist", root)                   # images (N, 28, 28) uint8, labels (N,) int64
xs = to_float(view(dataset.train_images, "row"), "none", "float32")  # (N, T, I)
"""

from harness.data.dataset import Dataset, default_root, load
from harness.data.fetch import fetch_missing
from harness.data.mnist import DATASETS
from harness.data.sequence import NORMALIZE, SEQUENCES, permutation_hash, shape, to_float, view

__all__ = [
    "DATASETS",
    "NORMALIZE",
    "SEQUENCES",
    "Dataset",
    "default_root",
    "fetch_missing",
    "load",
    "permutation_hash",
    "shape",
    "to_float",
    "view",
]

"""Datasets (verified files, or a person's own) and what a run reads of them.

provide(config)                          # downloads what is missing; nothing to do for "digits" and "npz"
shape_of(config)                         # Shape(steps, features, classes), before anything runs
dataset = open_dataset(config)           # parts `train`, `validation`, `test`: examples as stored, labels
xs = sequences(config, dataset, "test")  # (N, T, I) in the type of the run's weights
"""

from harness.data.chosen import OWN, Shape, fingerprint, open_dataset, provide, sequences, shape_in, shape_of
from harness.data.dataset import SPLITS, Dataset, Part, default_root, load
from harness.data.fetch import fetch_missing
from harness.data.mnist import DATASETS
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
    "fingerprint",
    "load",
    "open_dataset",
    "permutation_hash",
    "provide",
    "sequences",
    "shape",
    "shape_in",
    "shape_of",
    "to_float",
    "view",
]

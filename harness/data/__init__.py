"""Datasets, from verified files or from a file of your own, and their images as sequences.

`harness.config.dataset` opens the dataset that a configuration asks for.
"""

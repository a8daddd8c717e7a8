"""The configuration: typed keys, the rules between them, and composition with Hydra."""

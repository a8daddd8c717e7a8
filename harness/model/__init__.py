"""What is computed, as data: cells, networks, optimizers, initializers, precision."""

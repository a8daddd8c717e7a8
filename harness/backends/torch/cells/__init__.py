"""One file per cell."""

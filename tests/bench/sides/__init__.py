"""A file for each side of a comparison, as its users would write it: `open_side(task, **parameters)`."""

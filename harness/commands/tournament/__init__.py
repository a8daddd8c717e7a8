"""`python -m harness tournament`: every configuration of a sweep timed in turns, on the same cores."""

"""`python -m harness race`: two configurations timed in alternating windows on the same cores."""

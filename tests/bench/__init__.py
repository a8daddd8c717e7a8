"""The benchmarks: `make bench`. Sides that are compared have a process each and take turns."""

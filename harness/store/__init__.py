"""Results in a directory or at a URL: one directory for each attempt at a run, with its record written once.

Any number of processes may write to the same root.
"""

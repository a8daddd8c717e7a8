"""Results on disk or at a URL: one directory per attempt at a run, one JSON document in it, written once.

Any number of processes may write to the same place.
"""

"""How a run can end."""

STATUSES = {
    "ok": "all of it was done",
    "diverged": "the training loss was no longer finite",
    "failed": "an exception, a damaged file: the reason says which",
    "crashed": "the process ended by a signal, or without a word",
    "out_of_memory": "the system, the device or Python had no more to give",
    "timeout": "longer than `run.timeout_seconds`",
    "interrupted": "Ctrl-C or SIGTERM",
    "skipped": "not to be had on this machine",
    "pruned": "by a search, which saw no sense in going on: not a failure",
    "parity_failed": "gradients, updates or predictions too far from the reference: no result of such a run "
    "counts",
}

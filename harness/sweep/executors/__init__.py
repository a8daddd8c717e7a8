"""A sweep's runs spread over processes and machines: one module for each way.

Each has `spread(tasks, options)`, which makes every run with `harness.sweep.make` somewhere else and returns
when all are over. What came of them lies in the sweep's directory: a job that is lost there is none of its
business, and ends no other. On KeyboardInterrupt it ends them all.
"""

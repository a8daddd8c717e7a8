"""A sweep's runs spread over processes and machines: one module for each way.

Each has `spread(tasks, options)`, which makes every run with `harness.sweep.run_one.make` somewhere else and
returns when all are over. Results lie in the sweep's directory: a job that is lost there is not its concern,
and ends no other. On KeyboardInterrupt it ends them all.
"""

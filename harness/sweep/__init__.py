"""Many runs: planned, ordered, made by this process or spread over others, and shown while they go.

Whoever makes a run writes its status file: the command itself, another process, another machine. The command
that started the sweep reads them all.
"""

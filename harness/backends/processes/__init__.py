"""The shards of a session: parts of every batch, each computed in a process of its own."""

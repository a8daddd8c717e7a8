"""Clock, statistics, parity, roofline, memory: how things are measured."""

"""`make gpu`: everything that a machine with a GPU can prove and measure, in stages, in nine minutes."""

"""One run seen from inside its own process."""

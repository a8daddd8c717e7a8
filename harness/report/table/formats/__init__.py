"""The formats of a table."""

"""Runs as a table: grouped or pivoted, mean ± standard deviation; runs that did not end `ok` are listed."""

"""Sides that take turns on the same cores, window by window: how to compare where others disturb."""

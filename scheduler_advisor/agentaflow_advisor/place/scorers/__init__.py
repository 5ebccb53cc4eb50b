"""Strategies over arrays: ours, and those that the literature compares with."""

"""Proves that this machine, this home and this environment work, by doing what they are for."""

"""Figures for whoever looks after this home: read, published, held against objectives."""

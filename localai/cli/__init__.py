"""The terminal's doors: one file a noun, each command one call on one room."""

"""The Model Context Protocol, by its official SDK: our tools for other programs."""

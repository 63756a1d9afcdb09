"""A conversation that can use tools, and the one path on which any tool runs."""

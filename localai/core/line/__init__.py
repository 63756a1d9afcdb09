"""A line between the processes of one home, over a Unix socket that its owner alone can open."""

"""The Model Context Protocol: tools of other servers as ours, and ours for other programs."""

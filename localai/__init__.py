"""Local AI from the terminal: chat, documents and tools that wait for your approval."""

__version__ = "0.1.0"

"""Local AI from the terminal: chat, documents and tools that wait for your approval."""

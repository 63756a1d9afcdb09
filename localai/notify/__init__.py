"""Tells people what happened to requests: an outbox, its channels and their messages."""

"""Requests that wait for a person: what is asked, who decided, what ran. It runs nothing itself."""

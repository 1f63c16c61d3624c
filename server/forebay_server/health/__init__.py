"""Whether the server lives, and which version it is."""

"""Artifacts: what runs leave for people to look at, by key and version."""

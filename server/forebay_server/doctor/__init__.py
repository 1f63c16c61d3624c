"""Checks whether a database is what the server relies on. It changes nothing."""

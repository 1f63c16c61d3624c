"""Loops that work without a request."""

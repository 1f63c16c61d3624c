"""Tokens and who may call the API."""

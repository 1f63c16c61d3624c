"""Forebay's light package: what the server, the workers, the provider and the CLI share."""

__version__ = "0.1.0"

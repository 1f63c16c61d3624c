"""Blocks: configuration and credentials by type and name, secrets encrypted."""

"""Workers and their heartbeats."""

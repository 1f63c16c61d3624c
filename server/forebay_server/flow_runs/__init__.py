"""Flow runs and their states."""

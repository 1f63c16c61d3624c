"""What is handed to a run while it waits or runs: keyed texts."""

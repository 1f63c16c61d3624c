"""Who holds the slots."""

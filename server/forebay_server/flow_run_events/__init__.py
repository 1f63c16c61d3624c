"""The events that runs' changes of state are, derived from their history."""

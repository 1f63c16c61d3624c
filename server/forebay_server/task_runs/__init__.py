"""Task runs that clients report over HTTP: those that stand for subflows, and those of old."""

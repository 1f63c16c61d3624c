"""Work queues of a pool."""

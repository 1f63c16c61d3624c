"""Which server this is."""

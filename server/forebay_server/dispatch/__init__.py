"""Hands runs to workers that wait for them: claims of many at once, held until there is work."""

"""Events: what happened to which resource, kept for a while and streamed."""

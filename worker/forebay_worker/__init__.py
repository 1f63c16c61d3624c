"""Forebay's worker: takes runs from a work pool and executes them where it stands."""

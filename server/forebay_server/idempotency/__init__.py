"""Answers that are kept so that a repeated request changes nothing."""

"""Shapes that cross HTTP, one module per domain; names and fields are the API's own."""

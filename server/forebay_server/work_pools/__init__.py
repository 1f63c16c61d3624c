"""Work pools."""

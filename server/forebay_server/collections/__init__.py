"""What pool types there are."""

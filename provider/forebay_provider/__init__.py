"""Forebay's Terraform provider, in pure Python."""

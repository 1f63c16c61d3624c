"""Declares resources once and answers Terraform from the declaration. Knows no Forebay."""

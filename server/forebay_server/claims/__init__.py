"""Claims: who holds which run, and which slots that takes."""

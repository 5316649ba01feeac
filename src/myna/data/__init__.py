"""Data files → examples: formats, checks, splits."""

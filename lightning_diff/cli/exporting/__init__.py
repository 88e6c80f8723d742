"""export.py: models of this project for others, and what models of others are."""

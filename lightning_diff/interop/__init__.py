"""Weights of other projects: opened, and written so that they open them."""

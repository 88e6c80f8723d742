"""Synthetic data: captioned pictures that are drawn, so the true attributes of each are known."""

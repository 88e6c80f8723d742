"""Evaluation: it turns pictures into numbers, each with a passport."""

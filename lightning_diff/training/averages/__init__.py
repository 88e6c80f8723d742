"""Averages of the trained weights."""

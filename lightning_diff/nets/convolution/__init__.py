"""Convolutions of 3x3 in fewer multiplications."""

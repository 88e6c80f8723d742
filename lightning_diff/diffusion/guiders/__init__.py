"""Guiders: two answers to one question, and how far to go from the one through the other. Each is a choice of `guidance`."""

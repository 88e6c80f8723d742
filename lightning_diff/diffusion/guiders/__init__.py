"""Guiders: they combine the predictions of two branches into one guided prediction. Each is a choice of `guidance`."""

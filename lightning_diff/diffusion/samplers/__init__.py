"""Samplers: they turn noise into a picture. Each is a choice of `sampler`; each file holds one family."""

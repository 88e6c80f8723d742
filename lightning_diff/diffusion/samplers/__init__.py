"""Samplers: from noise to picture. Each is a choice of `sampler`; each file holds one family."""

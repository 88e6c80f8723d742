"""Denoising nets. Each is a choice of `net`. Its keys are here, its nn.Module is in nets/."""

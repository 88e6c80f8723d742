"""Text-to-image latent diffusion: train, sample, and measure."""

__version__ = "0.1.0"

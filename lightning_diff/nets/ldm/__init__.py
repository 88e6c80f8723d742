"""The layers and the shape of latent diffusion's nets."""

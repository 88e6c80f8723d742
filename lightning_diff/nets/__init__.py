"""Plain nn.Modules. They know nothing of data, of diffusion, or of Lightning."""

"""Plain nn.Modules, and the choices of them. They know nothing of data, of diffusion, or of Lightning."""

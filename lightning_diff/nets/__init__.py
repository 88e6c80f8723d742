"""Plain nn.Modules. They know nothing about data, diffusion or Lightning."""

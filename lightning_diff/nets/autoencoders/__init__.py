"""Autoencoders (first stages). Each is a choice of `autoencoder`. Its keys are here, its nn.Module is in nets/."""

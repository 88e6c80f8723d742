"""First stages. Each is a choice of `autoencoder`: its keys are here, its nn.Module beside this folder."""

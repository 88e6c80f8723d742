"""The networks that can predict the noise. Each is a choice of `net`: its keys are here, its nn.Module beside this folder."""

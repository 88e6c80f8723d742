"""Training with Lightning: our modules, and the callbacks and checkpoints that let a killed run end with the same bits."""

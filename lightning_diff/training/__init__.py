"""Training by Lightning: our modules, and what is needed for a killed run to end with the same bits."""

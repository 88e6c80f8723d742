"""Models that are built from nets, and the functions that build and load them."""

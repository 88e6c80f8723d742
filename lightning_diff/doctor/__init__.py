"""The doctor: checks that find what would go wrong with a training on this machine, each with a remedy."""

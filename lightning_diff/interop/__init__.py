"""Exchange of weights with other projects: their weights are read here, and ours are written in their formats."""

"""Reading many runs: what differs between them, their list, and the patterns that name them."""

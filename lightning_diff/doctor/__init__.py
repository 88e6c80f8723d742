"""What would go wrong with a training here, and how to mend it."""

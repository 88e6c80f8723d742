"""What each command does, from top to bottom, from a checked config."""

"""What a user types and writes: values, config files, where they lie, and what is said of mistakes."""

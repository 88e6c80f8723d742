"""What can be asked for: the schema, how a config is composed, what it must not hold."""

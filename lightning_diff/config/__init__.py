"""The config: its schema, how it is composed, and the checks of its values."""

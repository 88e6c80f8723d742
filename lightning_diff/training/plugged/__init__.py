"""Callbacks of Lightning that the config names. A user's own come from a plugin."""

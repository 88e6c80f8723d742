"""Sources: where the captioned pictures come from. Each is a choice of `data`."""

"""Sources of captioned pictures. Each is a choice of `data`."""

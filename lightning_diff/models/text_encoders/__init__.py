"""Text encoders. Each is a choice of `text`: its keys, and how its tower is found or opened."""

"""What the config says of itself: the text of each key, and what a user probably meant."""

"""The commands. A user's mistake is answered with one line."""

"""The commands: words in, one line out where they are wrong."""

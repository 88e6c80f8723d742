"""What other projects' files say of themselves, read without torch, so that a config can be set or refused by it."""

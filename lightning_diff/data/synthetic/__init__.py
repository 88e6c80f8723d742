"""Captioned pictures that are made, not collected, so that the truth about each is known."""

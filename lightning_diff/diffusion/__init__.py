"""The mathematics. Nothing here knows of Lightning, of data, or of any one network."""

"""Captioned pictures, from where they come from to the batch: worlds and folders, shards, index, order, decoding."""

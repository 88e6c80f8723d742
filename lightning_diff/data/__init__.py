"""Captioned pictures, from where they come from to the batch: sources, shards, index, order, decoding."""

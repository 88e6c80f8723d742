"""Captioned pictures, from their source to the batch: sources, shards, index, order, decoding."""

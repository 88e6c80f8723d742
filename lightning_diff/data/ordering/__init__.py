"""Orders of samples for sets that are read shard by shard, and what they are made of: weights, and buckets of shapes."""

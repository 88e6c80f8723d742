"""What a set holds, and what is wrong with it: the account by reason, statistics, repaired shards."""

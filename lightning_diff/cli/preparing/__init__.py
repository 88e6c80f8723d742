"""prepare.py beyond the shards: the account of a set, its repair, a contact sheet."""

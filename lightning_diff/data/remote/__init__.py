"""Shards on other machines (http, https, s3, gs): found, fetched whole into a bounded cache, and read from there."""

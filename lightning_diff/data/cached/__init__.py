"""A cache of arrays: rows on the disk that are found by their content, with a sum for each."""

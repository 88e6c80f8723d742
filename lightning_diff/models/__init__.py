"""Models put together out of nets, and how they are found and loaded."""

"""The run folder's own record, and its mirrors."""

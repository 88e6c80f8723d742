"""Pictures in, numbers with a passport out."""

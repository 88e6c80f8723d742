"""Feature extractors for FID, KID, precision and recall. Each class is a choice of evaluation.features."""

"""Feature extractors: what FID, KID, precision and recall are of. One choice of evaluation.features a class."""

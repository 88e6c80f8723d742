"""Metrics: the columns of a sweep's table. One choice of evaluation.metrics a class."""

"""Metrics: they make the columns of a sweep's table. Each class is a choice of evaluation.metrics."""

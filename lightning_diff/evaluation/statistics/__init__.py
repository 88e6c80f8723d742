"""Comparison of a sweep's rows: intervals that hold together, adaptive allocation, and the verdict."""

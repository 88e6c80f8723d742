"""Measuring of models that are not runs of this project."""

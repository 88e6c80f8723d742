"""Measuring folders of pictures: the config is turned into judges and sets."""

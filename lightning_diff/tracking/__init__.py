"""The record in the run folder, and the trackers that mirror it."""

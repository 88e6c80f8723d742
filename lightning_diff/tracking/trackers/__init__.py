"""Trackers: where a run is mirrored, a file each."""

"""Trackers: each file mirrors runs in one tracker."""

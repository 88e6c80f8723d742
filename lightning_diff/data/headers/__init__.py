"""An index of large sets that reads headers and captions alone; no picture is decoded for it."""

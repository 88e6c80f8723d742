"""What a run is checked for before it goes on: that it is the same run, on the same data, with files that are whole."""

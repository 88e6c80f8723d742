"""The training of alignDRAW as a stage of its run."""

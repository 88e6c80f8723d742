"""explore.html of a run."""

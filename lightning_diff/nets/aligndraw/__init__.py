"""alignDRAW (Mansimov et al. 2015): a net that draws on a canvas in glimpses, and attends to the caption's words at each."""

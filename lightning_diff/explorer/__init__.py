"""A look inside a trained model: axes of its spaces, what guidance does at each step, how alignDRAW draws."""

"""A UNet whose coarsest resolution is a transformer: its blocks, and the net."""

"""The mathematics of diffusion. Nothing here knows about Lightning, data or a particular net."""

"""Training and measuring of a run. This room turns the config into objects for the rooms below."""

"""From a config to a trained and measured run: the config is turned into objects here."""

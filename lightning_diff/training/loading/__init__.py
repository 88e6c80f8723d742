"""Lightning data modules: of a run, and of captioned pictures for any Trainer."""

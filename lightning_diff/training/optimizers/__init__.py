"""Optimizers: AdamW and Muon, which the config chooses, and RMSProp of alignDRAW."""

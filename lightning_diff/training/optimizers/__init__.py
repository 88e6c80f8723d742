"""Optimizers, which the config chooses: AdamW, Muon, and RMSProp of alignDRAW's paper."""

"""One LightningModule for each thing that is trained."""

"""Pictures of a sweep that have NaN or inf."""

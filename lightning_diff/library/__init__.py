"""The library's face: what `import lightning_diff` gives, apart from the classes of the rooms below."""

"""Folders of pictures compared with each other, or with the pictures of a run."""

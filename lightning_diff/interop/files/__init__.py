"""Files and folders of other projects: what lies in them, and their tensors."""

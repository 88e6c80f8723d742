"""What people bring: the names of files, captions, tars and folders, read by one rule."""

"""Tables of pictures: their rows, and filters of what is known of samples."""

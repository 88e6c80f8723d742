"""Files of pictures: what kind they are, which of their bytes make pixels, and what colours those mean."""

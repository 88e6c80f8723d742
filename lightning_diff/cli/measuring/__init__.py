"""Commands that measure pictures which this project need not have drawn."""

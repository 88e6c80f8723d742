"""The fields of other projects' configs: a table of laws for each class, and what the carried ones become here."""

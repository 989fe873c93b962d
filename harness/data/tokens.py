"""The two tokens that are no word of a vocabulary."""

PADDING = 0  # after the end of a text
UNKNOWN = 1  # a word that training lacks

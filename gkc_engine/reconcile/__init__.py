"""The records against Asterisk's own lists of the same calls (`gkc records verify`)."""

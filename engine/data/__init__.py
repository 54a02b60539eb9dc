"""Vector sets on disk: reading, checking, splitting, windows, building from text."""

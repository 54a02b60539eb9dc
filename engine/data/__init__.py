"""Vector sets on disk: reading, splitting, building."""

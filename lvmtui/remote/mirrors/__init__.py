"""The local copy of what is known of another machine's store: checked, bounded, and a store itself."""

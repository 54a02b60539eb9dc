"""Widgets: one a file; they see records, never tables or connections."""

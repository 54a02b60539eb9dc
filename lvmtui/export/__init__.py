"""Runs, leaderboards and comparisons as CSV, JSON and Markdown."""

"""Runs compared with each other: paired tests, seeds, recipes, a common pool."""

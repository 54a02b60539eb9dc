"""Runs copied whole from one machine's store into another's, over a connection of their own."""

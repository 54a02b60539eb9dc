"""Runs on other machines, over the system's ssh: connections, their mirrors, requests and copies."""

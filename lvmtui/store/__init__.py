"""The run store: every run, metric, evaluation, checkpoint and request in one SQLite file."""

"""lvmtui: terminal dashboard and run manager for training next-vector models."""

__version__ = "0.1.0"

"""What is worth interrupting somebody for, and how it is told. Knows no screen."""

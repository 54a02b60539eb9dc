"""PyTorch training and evaluation of next-vector models, run as a process of its own."""

"""PyTorch's functions."""

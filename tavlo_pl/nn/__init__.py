"""Networks: pure torch, tensors in, tensors out."""

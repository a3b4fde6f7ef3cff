"""Objectives: pure torch, tensors in, scalars out."""

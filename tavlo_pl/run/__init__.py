"""A run: its folder, its provenance, its results, its messages, and how it ends."""

"""A run: its folder, where it comes from, its results, and how it ends."""

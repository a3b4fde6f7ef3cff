"""Clips, their readers and everything between a file and a batch."""

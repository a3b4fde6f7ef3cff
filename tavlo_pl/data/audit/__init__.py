"""Audit of a data set: its lists, its files, and the number of its first annotated frame."""

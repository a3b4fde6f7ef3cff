"""The table of all clips of a data set: found, probed, selected, written and read."""

from tavlo_pl.data.index.table import Index

__all__ = ["Index"]

"""tavlo_pl: which pixels make the sound heard right now?"""

__version__ = "0.1.0"

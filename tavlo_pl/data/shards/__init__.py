"""Training shards: frames and sound of clips at fixed times, in Arrow files."""

from tavlo_pl.data.shards.source import Shards

__all__ = ["Shards"]

"""Training shards: frames and audio of clips at fixed times, in Arrow files."""

from tavlo_pl.data.shards.source import Shards

__all__ = ["Shards"]

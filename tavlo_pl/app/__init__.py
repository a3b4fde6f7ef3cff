"""``tavlo app``: a local web page that localizes the sound sources of a dropped video."""

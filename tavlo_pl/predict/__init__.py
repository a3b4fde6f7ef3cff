"""``tavlo predict`` and `tavlo_pl.localize`: heatmaps, sound sources and overlay videos of any video."""

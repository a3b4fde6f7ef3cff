"""``tavlo predict`` and `tavlo_pl.localize`: which pixels make the sound, in any video, and what is written of it."""

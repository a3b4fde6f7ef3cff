"""``tavlo annotate``: makes a benchmark in AVATAR's layout from videos: proposals by models, decisions by a person."""

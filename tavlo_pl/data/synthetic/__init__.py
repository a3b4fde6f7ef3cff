"""The procedural world: small audio-visual clips with exact masks, in AVATAR's own layout."""

"""Files, locks and processes: what every other part may import."""

"""Files, locks and processes; every other package may import these modules."""

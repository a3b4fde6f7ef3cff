"""Does a model listen? Probes that need nothing of it but its maps, and a verdict by stated rules."""

"""From what tests left in their folders to one page: figures, curves, samples and films, and runs compared."""

"""`tavlo export`: the model of a checkpoint as one file that runs without this package."""

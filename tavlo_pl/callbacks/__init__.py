"""Lightning callbacks: checkpoints, results, gallery, provenance of the data, checks of loss and gradient."""

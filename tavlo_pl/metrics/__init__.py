"""Metrics of heatmaps: formulas in `functional`, torchmetrics classes that use them, and the suite."""

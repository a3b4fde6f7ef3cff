"""How good a heatmap is: formulas in `functional`, torchmetrics classes over them, the suite."""

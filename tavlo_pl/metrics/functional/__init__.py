"""The formulas of the metrics, one file each.

Formulas of one sample are torch and run on the device of the maps; those over a test set are NumPy in float64, which
sums in one thread and in one order, so that no digit of a figure depends on the number of threads.
"""

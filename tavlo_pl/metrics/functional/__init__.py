"""The formulas. Those of one sample are torch, and run where the maps are; those over a test set are NumPy
float64.

NumPy sums in one thread and in one order, so a figure does not change in its last digit with the number of
threads.
"""

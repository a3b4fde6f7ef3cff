"""The formulas of the metrics, one file each.

Formulas of one sample use torch on the device of the maps. Formulas of a test set use NumPy in float64, which sums in
one thread and a fixed order, so that results do not depend on the number of threads.
"""

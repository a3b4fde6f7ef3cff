"""Runs one function for many items, in processes of this machine or on a Ray cluster; the results are the same."""

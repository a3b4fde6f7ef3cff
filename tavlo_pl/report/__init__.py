"""HTML pages of one or more test runs: results, curves, samples, overlay videos, and comparisons of runs."""

"""Configurations: which classes they may name, those in the package, and those stored with checkpoints and runs."""

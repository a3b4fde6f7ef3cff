"""Configurations: what they may name, and those that come with the package."""

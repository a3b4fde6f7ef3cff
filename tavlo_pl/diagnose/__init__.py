"""Probes that measure from heatmaps alone whether a model's localization depends on the audio."""

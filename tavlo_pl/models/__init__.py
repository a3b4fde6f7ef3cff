"""LightningModules, one file a model."""

"""Gradient-boosted trees on point-in-time features: a model of its own, and the baseline that learns."""

"""Trained networks as things to predict with."""

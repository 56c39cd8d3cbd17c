"""Recommenders by name: each file registers its own."""

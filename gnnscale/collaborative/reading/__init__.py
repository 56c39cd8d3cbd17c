"""Interactions from files, and their parts for training and for tests."""

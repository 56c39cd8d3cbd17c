"""Labelled examples of a query, their order, and one positive of each."""

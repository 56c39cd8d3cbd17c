"""Entities and targets as the two sides of one graph, sampled around both."""

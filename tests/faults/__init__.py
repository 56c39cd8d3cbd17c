"""Faults at random moments of every stage, and what a rerun makes of them."""

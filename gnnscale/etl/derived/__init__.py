"""Tables whose rows follow from those of another."""

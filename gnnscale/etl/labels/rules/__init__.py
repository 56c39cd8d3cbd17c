"""Label rules, by the names that task types state."""

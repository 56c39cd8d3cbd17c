"""An entity's actions in order of time, as batches of sequences."""

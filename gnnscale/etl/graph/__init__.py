"""The graph stage: built anew, or extended by new rows."""

"""Generated graphs of any size."""

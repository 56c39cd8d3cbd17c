"""Labels of a query: aggregates over windows after anchor times."""

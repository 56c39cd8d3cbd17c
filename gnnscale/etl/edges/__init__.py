"""Edge tables: read, sorted and written as packed blocks."""

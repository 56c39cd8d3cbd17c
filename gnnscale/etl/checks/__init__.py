"""Checks of the rows: match rates, duplicates, isolated rows, degrees."""

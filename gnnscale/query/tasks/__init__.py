"""Task types, each in a file of its own."""

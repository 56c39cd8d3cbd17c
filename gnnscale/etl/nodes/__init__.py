"""Node tables: encoded columns and their statistics."""

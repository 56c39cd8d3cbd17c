"""From columns, events and blocks to vectors."""

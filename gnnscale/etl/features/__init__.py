"""The feature stage: what is known of every example at its anchor, as a table."""

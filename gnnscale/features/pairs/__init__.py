"""What is known of an entity and a target at an anchor."""

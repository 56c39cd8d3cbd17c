"""A transformer over an entity's actions, beside a tower of targets."""

"""Pictures of a model's answers to node-level tasks, by the names that task types list."""

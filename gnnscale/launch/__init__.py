"""Starting training on Ray. The only code that imports ray."""

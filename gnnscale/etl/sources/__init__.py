"""Raw tables: how files are read, checked for growth and described."""

"""The text of a predictive query: its grammar, its tree, and the tree written out again."""

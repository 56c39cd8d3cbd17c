"""Kinds of index, one a file; FAISS and torch are loaded when an index is built or opened."""

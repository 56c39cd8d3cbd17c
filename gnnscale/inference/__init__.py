"""Vectors and scores of every entity and target, and the answers of node-level tasks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

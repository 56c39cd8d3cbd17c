"""Neighborhoods, random walks and negatives, each a function of its key."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

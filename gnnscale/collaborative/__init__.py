"""Collaborative filtering: recommenders that learn from a matrix of users and items alone."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

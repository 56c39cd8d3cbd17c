"""Indexes of target vectors: exact, clustered, coded and graph-shaped, behind one interface."""

import lazy_loader

# A host that only searches on its GPU needs neither FAISS nor numba.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

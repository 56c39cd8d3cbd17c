"""gnnscale: a question over lakehouse tables, answered by a graph neural network."""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

# Spark's Python workers import the package for one module of it; they should not load the rest.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

try:
    __version__ = version("gnnscale")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

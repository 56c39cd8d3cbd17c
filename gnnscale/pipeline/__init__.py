"""The stages from tables to predictions, their order, and the Ray workers that they run on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

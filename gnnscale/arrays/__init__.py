"""Arrays that every floor shares: ragged rows, keys, files that are mapped, and work done in threads ahead of time."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

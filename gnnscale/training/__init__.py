"""The trainer, the tasks that it trains, its checkpoints and its validation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""From labels and a sampled graph to batches: what a network sees, as data classes, and how it is gathered."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

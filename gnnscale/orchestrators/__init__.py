"""The pipeline as other programs schedule it: assets of Dagster."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

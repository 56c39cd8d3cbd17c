"""What a lake has found out, where services read it: key-value stores whose readers see whole versions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""What is known of an entity, or of an entity and a target, at an anchor, as plain columns: one definition for all."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

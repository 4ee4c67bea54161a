"""Models of annotation: a hidden truth an item, and workers who report it each in their way."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

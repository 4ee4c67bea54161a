"""The theorems of section 4 as functions, one file a theorem: what holds, and the printed forms by name."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

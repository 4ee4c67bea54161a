"""Product reviews: who rated what with how many stars, and what they wrote."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

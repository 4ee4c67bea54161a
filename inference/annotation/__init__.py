"""Inference in models of annotation: point estimates at the speed of sorted sums, SVI, NUTS, simulation."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

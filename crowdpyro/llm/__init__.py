"""Frozen LLMs: who is asked, how the question is put, and what is kept of the answer."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

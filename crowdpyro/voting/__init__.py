"""Participatory budgeting: ballots in and out, voters and projects that nobody met, and what gets funded."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

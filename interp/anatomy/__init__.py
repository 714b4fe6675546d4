"""The anatomy of one model: every measure in one table, and ablations with their random controls."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

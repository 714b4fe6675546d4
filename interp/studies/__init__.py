"""Studies: many runs, planned as one value, trained anywhere, and counted without forgetting those that never grokked."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

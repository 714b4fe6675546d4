"""The waves of the answer: which group element an answer is, and the projectors on its waves."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

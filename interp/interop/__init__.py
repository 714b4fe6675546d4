"""Other people's models and files, in and out: TransformerLens, the official grokking code, the clock/pizza code, any other.

`load_weights` gives one model, `load_run` everything a file tells, `import_run` an ordinary run. transformer_lens itself is
loaded only where a bridge is built or read.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Reading and writing other people's models and files: TransformerLens, the official grokking code, the clock/pizza code, others.

`load_weights` returns one model, `load_run` everything a file contains, `import_run` an ordinary run. transformer_lens itself is
loaded only when a bridge is built or read.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

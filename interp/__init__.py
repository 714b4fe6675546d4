"""Watch a circuit form: modular arithmetic, checkpoints, hooks across them, and progress measures.

The public names stand in ``__init__.pyi``, which type checkers read too. Each is imported when it is first used, so that
`import interp` is instant. (That is why no module bears the name of a public function: importing the module would put it in the
function's place.)
"""

import interp.early  # before all that takes time: what Ctrl-C does to the command

# isort: split
import lazy_loader

import interp.process  # noqa: F401  remembers which process imported the toolkit

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

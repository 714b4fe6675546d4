"""Watch a circuit form: modular arithmetic, checkpoints, hooks across them, and progress measures.

Every public name is in the list below and is imported when it is first used, so that `import interp` is instant.
(That is why no module bears the name of a public function: importing the module would put it in the function's place.)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

_PUBLIC = {
    "recipe": "interp.config",
    "RunConfig": "interp.config",
    "ModularTask": "interp.task",
    "Weights": "interp.weights",
    "train": "interp.training.loop",
    "Step": "interp.training.loop",
    "forward": "interp.forward_pass",
    "Activations": "interp.forward_pass",
    "FourierBasis": "interp.fourier",
    "measures": "interp.measures",
    "synthetic": "interp.synthetic",
}

__all__ = [*_PUBLIC]

if TYPE_CHECKING:
    from interp import measures, synthetic
    from interp.config import RunConfig, recipe
    from interp.forward_pass import Activations, forward
    from interp.fourier import FourierBasis
    from interp.task import ModularTask
    from interp.training.loop import Step, train
    from interp.weights import Weights


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'interp' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    return module if _PUBLIC[name] == f"interp.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)

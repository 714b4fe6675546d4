"""Watch a circuit form: modular arithmetic, checkpoints, hooks across them, and progress measures.

Every public name is in the list below and is imported when it is first used, so that `import interp` is instant.
(That is why no module bears the name of a public function: importing the module would put it in the function's place.)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import interp.process  # noqa: F401  remembers which process imported the toolkit

_PUBLIC = {
    # what a run is, and making one
    "recipe": "interp.config",
    "RunConfig": "interp.config",
    "ModelConfig": "interp.config",
    "OptimizerConfig": "interp.config",
    "CheckpointConfig": "interp.config",
    "ModularTask": "interp.task",
    "SplitConfig": "interp.task",
    "Split": "interp.task",
    "train": "interp.training.loop",
    "Step": "interp.training.loop",
    "train_many": "interp.training.many",
    "record": "interp.recorder",
    "resume": "interp.recorder",
    # what was saved
    "open_run": "interp.store.run",
    "Run": "interp.store.run",
    "Checkpoint": "interp.store.run",
    # other people's models, in and out
    "load_weights": "interp.interop",
    "load_run": "interp.interop",
    "import_run": "interp.interop",
    "Known": "interp.interop",
    "recover_split": "interp.interop",
    "export_weights": "interp.interop",
    "export_series": "interp.interop",
    # looking inside
    "Weights": "interp.weights",
    "forward": "interp.forward_pass",
    "Activations": "interp.forward_pass",
    "HookedModel": "interp.hooked",
    "activations": "interp.observation",
    "key_frequencies": "interp.observation",
    "FourierBasis": "interp.fourier",
    "measures": "interp.measures",
    "anatomy": "interp.anatomy",
    "synthetic": "interp.synthetic",
    # across checkpoints, and the report
    "Analysis": "interp.analysis",
    "View": "interp.observation",
    "observe": "interp.observation",
    "figures": "interp.figures",
    "report": "interp.reporting",
    "errors": "interp.errors",
}

if TYPE_CHECKING:
    from interp import anatomy as anatomy
    from interp import errors as errors
    from interp import figures as figures
    from interp import measures as measures
    from interp import synthetic as synthetic
    from interp.analysis import Analysis as Analysis
    from interp.config import CheckpointConfig as CheckpointConfig
    from interp.config import ModelConfig as ModelConfig
    from interp.config import OptimizerConfig as OptimizerConfig
    from interp.config import RunConfig as RunConfig
    from interp.config import recipe as recipe
    from interp.forward_pass import Activations as Activations
    from interp.forward_pass import forward as forward
    from interp.fourier import FourierBasis as FourierBasis
    from interp.hooked import HookedModel as HookedModel
    from interp.interop import Known as Known
    from interp.interop import export_series as export_series
    from interp.interop import export_weights as export_weights
    from interp.interop import import_run as import_run
    from interp.interop import load_run as load_run
    from interp.interop import load_weights as load_weights
    from interp.interop import recover_split as recover_split
    from interp.observation import View as View
    from interp.observation import activations as activations
    from interp.observation import key_frequencies as key_frequencies
    from interp.observation import observe as observe
    from interp.recorder import record as record
    from interp.recorder import resume as resume
    from interp.reporting import report as report
    from interp.store.run import Checkpoint as Checkpoint
    from interp.store.run import Run as Run
    from interp.store.run import open_run as open_run
    from interp.task import ModularTask as ModularTask
    from interp.task import Split as Split
    from interp.task import SplitConfig as SplitConfig
    from interp.training.loop import Step as Step
    from interp.training.loop import train as train
    from interp.training.many import train_many as train_many
    from interp.weights import Weights as Weights


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'interp' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    return module if _PUBLIC[name] == f"interp.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return [*_PUBLIC]

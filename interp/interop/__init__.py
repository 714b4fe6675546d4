"""Other people's models and files, in and out: TransformerLens, the official grokking code, the clock/pizza code, any other.

`load_weights` gives one model, `load_run` everything a file tells, `import_run` an ordinary run. transformer_lens itself is
loaded only where a bridge is built or read.
"""

from interp.interop.bridge import from_bridge, to_bridge, weights_of_bridge_state
from interp.interop.export import export_series, export_weights
from interp.interop.imported import Imported, Known
from interp.interop.load import import_run, load_run, load_weights
from interp.interop.opening import FORMATS, Format
from interp.interop.split import recover_split
from interp.interop.transformer_lens import legacy_state

__all__ = [
    "FORMATS",
    "Format",
    "Imported",
    "Known",
    "export_series",
    "export_weights",
    "from_bridge",
    "import_run",
    "legacy_state",
    "load_run",
    "load_weights",
    "recover_split",
    "to_bridge",
    "weights_of_bridge_state",
]

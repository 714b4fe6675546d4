"""A run whose files were changed by somebody who then wrote the right hashes, as a stranger can."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def rehash(run: Path) -> None:
    """Have the manifest say what the files are now."""
    manifest = json.loads((run / "manifest.json").read_bytes())
    for name, facts in manifest["files"].items():
        if (run / name).is_file():
            data = (run / name).read_bytes()
            facts.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    manifest.pop("sha256", None)  # its own, which earlier versions did not write
    (run / "manifest.json").write_text(json.dumps(manifest))

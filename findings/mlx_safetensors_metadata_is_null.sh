#!/usr/bin/env bash
# A safetensors file from mlx has "__metadata__": null in its header, not a table and not nothing.
#
# Packages: mlx[cpu]==0.32.4, safetensors==0.8.0, numpy==2.4.6 (Python 3.11)
# Expected: Where there are no metadata the key is absent; where it is present it is a table of texts, as the format
#   says.
# Seen: The key is there and null. The safetensors package reads such a file; a reader that takes
#   header.get('__metadata__', {}) for a table gets None.
# Why it matters: Whoever reads headers without loading tensors, to list checkpoints or to refuse foreign ones, fails
#   on valid files of this origin.
# Way out: Write header.get('__metadata__') or {}.
# Output:
#   header {'__metadata__': None, 'weight': {'data_offsets': [0, 24], 'dtype': 'F32', 'shape': [2, 3]}} - metadata as safetensors reads them None
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'mlx[cpu]==0.32.4' 'safetensors==0.8.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import json
import struct
from pathlib import Path

import mlx.core as mx
import safetensors

mx.save_safetensors("weights.safetensors", {"weight": mx.ones((2, 3))})
content = Path("weights.safetensors").read_bytes()
(length,) = struct.unpack("<Q", content[:8])
header = json.loads(content[8 : 8 + length])
with safetensors.safe_open("weights.safetensors", "np") as file:
    print("header", header, "- metadata as safetensors reads them", file.metadata())
if not ("__metadata__" in header and header["__metadata__"] is None):
    raise SystemExit("CHANGED: the metadata are absent or a table")
print("unchanged")
PYTHON

#!/usr/bin/env bash
# A chunk whose values equal the fill value is never stored: a step measured as 0 looks like one not measured.
#
# Packages: zarr==3.1.6, numpy==2.4.6 (Python 3.11)
# Expected: What is assigned is stored: after writing every step all chunks count as initialized.
# Seen: Chunks that hold only the fill value, 0 by default, are not stored, and nchunks_initialized does not count
#   them.
# Why it matters: One chunk a checkpoint is the usual layout, and counting chunks the usual way to find where to go
#   on. Accuracies of 0 and excluded losses of 0 before the transition are measured again for ever.
# Way out: Choose NaN as fill value, or write with config={'write_empty_chunks': True}.
# Output:
#   default: 4 steps written, 1 chunks initialized
#   fill_value=nan: 4 steps written, 4 chunks initialized
#   write_empty_chunks: 4 steps written, 4 chunks initialized
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'zarr==3.1.6' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import zarr

counts = {}
for name, options in {"default": {}, "fill_value=nan": {"fill_value": np.nan}, "write_empty_chunks": {"config": {"write_empty_chunks": True}}}.items():
    array = zarr.create_array(f"{name}.zarr", shape=(4, 3), chunks=(1, 3), dtype="f4", **options)
    array[:] = 0
    array[2] = 1
    counts[name] = array.nchunks_initialized
    print(f"{name}: 4 steps written, {counts[name]} chunks initialized")
if counts != {"default": 1, "fill_value=nan": 4, "write_empty_chunks": 4}:
    raise SystemExit(f"CHANGED: {counts}")
print("unchanged")
PYTHON

#!/usr/bin/env bash
# Elements of a field of 113 turn into bytes that wrap at 256, silently, in np.asarray and np.where.
#
# Packages: galois==0.4.11, numpy==2.4.6, numba==0.68.1 (Python 3.11)
# Expected: np.asarray gives integers with which ordinary arithmetic is safe, and np.where keeps the field.
# Seen: Both give plain uint8: 100 * 100 becomes 16, and taking that modulo 113 gives 16 where the field says 56.
# Why it matters: It is the natural oracle for tasks over a finite field, p = 113 above all. Labels computed after one
#   np.where are wrong, and the network learns them all the same.
# Way out: Leave the field by np.array(x.tolist(), dtype=np.int64).
# Output:
#   in the field [56, 14]; as uint8: [16, 196], modulo 113 [16, 83]
#   np.where gives ndarray of uint8: [16, 83]
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'galois==0.4.11' 'numpy==2.4.6' 'numba==0.68.1'
cd "$folder"
venv/bin/python - <<'PYTHON'
import galois
import numpy as np

field = galois.GF(113)
values = field([100, 50])
plain = np.asarray(values)
chosen = np.where(values == field(50), values, values)
print(f"in the field {(values * values).tolist()}; as {plain.dtype}: {(plain * plain).tolist()}, modulo 113 {(plain * plain % 113).tolist()}")
print(f"np.where gives {type(chosen).__name__} of {chosen.dtype}: {(chosen * chosen % 113).tolist()}")
if not (plain.dtype == chosen.dtype == np.uint8 and type(chosen) is np.ndarray and (plain * plain % 113).tolist() == [16, 83]):
    raise SystemExit("CHANGED: another type comes out")
print("unchanged")
PYTHON

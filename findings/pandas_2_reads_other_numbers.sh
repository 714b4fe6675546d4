#!/usr/bin/env bash
# A number that is written to a CSV file with all its digits is read back as its neighbour by pandas 2, exactly by pandas 3.
#
# Packages: pandas==2.3.3, pandas==3.1.1, numpy==2.3.5 (Python 3.11)
# Expected: repr(x) names a float exactly, and a reader returns that float, whatever its version.
# Seen: read_csv of pandas 2.3.3 reads 1e-30 as the number beside it. With
#   float_precision="round_trip", and in pandas 3.1.1 without it, all are right.
# Why it matters: Tables that are compared for equality differ by the reader's version, and the file is not to blame.
# Way out: With pandas 2, float_precision="round_trip", which pandas 3.1 warns about; with either, dtype=str and then astype(float).
# Output:
#   2.3.3: 1e-30 read exactly: False; as text and then float: True
#   3.1.1: 1e-30 read exactly: True; as text and then float: True
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 2.3.3 3.1.1; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --no-compile --disable-pip-version-check "pandas==$version" 'numpy==2.3.5'
    "$folder/$version/bin/python" - <<'PYTHON'
import io

import pandas as pd

wanted = 1e-30
file = f"loss\n{wanted!r}\n"
plain = pd.read_csv(io.StringIO(file)).loss[0] == wanted
text = pd.read_csv(io.StringIO(file), dtype=str).loss.astype(float)[0] == wanted
print(f"{pd.__version__}: {wanted} read exactly: {plain}; as text and then float: {text}")
if (plain, text) != (pd.__version__.startswith("3"), True):
    raise SystemExit(f"CHANGED: {plain}, {text}")
PYTHON
done
echo unchanged

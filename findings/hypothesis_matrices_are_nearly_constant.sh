#!/usr/bin/env bash
# Arrays drawn by hypothesis are mostly one value: a 20 x 20 matrix has about five distinct entries and a low rank.
#
# Packages: hypothesis==6.170.17, numpy==2.4.6 (Python 3.11)
# Expected: Elements are drawn one by one, so that a typical matrix has many different entries and full rank.
# Seen: Where the elements strategy can be a fill, which floats can, a few entries are drawn and the others all get
#   one value. Half of the matrices have at most five distinct values and rank at most 3; fill=nothing() gives
#   hundreds and full rank.
# Why it matters: A property of weights, 'the projection is idempotent' or 'the fast product agrees', is tested on
#   matrices that are constant but for a few entries, where wrong code passes.
# Way out: Draw with fill=nothing(), or draw a seed and make normal matrices from it.
# Output:
#   median of distinct values and of rank in a 20 x 20 matrix: by default (5, 3), with fill=nothing() (272, 20)
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'hypothesis==6.170.17' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

calm = settings(max_examples=100, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


def medians(**options: object) -> tuple[int, int]:
    distinct, rank = [], []

    @calm
    @given(hnp.arrays(np.float64, (20, 20), elements=st.floats(-1, 1, width=32), **options))
    def look(matrix: np.ndarray) -> None:
        distinct.append(len(np.unique(matrix)))
        rank.append(np.linalg.matrix_rank(matrix))

    look()
    return int(np.median(distinct)), int(np.median(rank))


default, drawn = medians(), medians(fill=st.nothing())
print(f"median of distinct values and of rank in a 20 x 20 matrix: by default {default}, with fill=nothing() {drawn}")
if not (default[0] < 20 < drawn[0] and default[1] < 15):
    raise SystemExit("CHANGED: the entries are drawn otherwise")
print("unchanged")
PYTHON

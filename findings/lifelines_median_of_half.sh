#!/usr/bin/env bash
# A Kaplan-Meier median is finite or infinite by rounding when exactly half of the runs have grokked.
#
# Packages: lifelines==0.30.3, pandas==2.3.3, numpy==2.4.6 (Python 3.11)
# Expected: The survival curve comes down to 1/2 at the time of the middle event, so the median is that time, for
#   every even number of runs.
# Seen: The curve is a product of rounded factors and stops at 0.5000000000000001 for some sizes; the median is then
#   infinite.
# Why it matters: A study of 8 seeds of which 4 grok within the budget reports that its median is never reached, one
#   of 10 seeds with 5 that it is.
# Way out: Decide whether half have grokked on counts, never on the value of a survival curve.
# Output:
#    2 runs, half of them grokked: median 1.0, last survival 0.5
#    4 runs, half of them grokked: median 2.0, last survival 0.5
#    6 runs, half of them grokked: median inf, last survival 0.5000000000000001
#    8 runs, half of them grokked: median inf, last survival 0.5000000000000001
#   10 runs, half of them grokked: median 5.0, last survival 0.49999999999999983
#   12 runs, half of them grokked: median 6.0, last survival 0.49999999999999994
#   14 runs, half of them grokked: median inf, last survival 0.5000000000000001
#   16 runs, half of them grokked: median 8.0, last survival 0.49999999999999994
#   18 runs, half of them grokked: median inf, last survival 0.5000000000000002
#   20 runs, half of them grokked: median inf, last survival 0.5000000000000002
#   22 runs, half of them grokked: median 11.0, last survival 0.49999999999999994
#   24 runs, half of them grokked: median 12.0, last survival 0.49999999999999994
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'lifelines==0.30.3' 'pandas==2.3.3' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
from lifelines import KaplanMeierFitter

infinite, finite = [], []
for runs in range(2, 26, 2):
    times = np.arange(1, runs + 1)
    grokked = times <= runs // 2
    budget = np.where(grokked, times, runs)
    fitted = KaplanMeierFitter().fit(budget, grokked)
    median, last = fitted.median_survival_time_, float(fitted.survival_function_.iloc[-1, 0])
    print(f"{runs:2} runs, half of them grokked: median {median}, last survival {last!r}")
    (infinite if np.isinf(median) else finite).append(runs)
if not (infinite and finite):
    raise SystemExit(f"CHANGED: infinite for {infinite}, finite for {finite}")
print("unchanged")
PYTHON

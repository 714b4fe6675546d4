#!/usr/bin/env bash
# The exponent of a fit is an attribute only if the lower cut-off was searched for, not if it was given.
#
# Packages: powerlaw==2.0.0, numpy==2.4.6, scipy==1.17.1 (Python 3.11)
# Expected: fit.alpha is the fitted exponent in both cases.
# Seen: With xmin given the attribute does not exist; fit.power_law.alpha does. Without xmin both do.
# Why it matters: A scaling law of grokking times is fitted above a cut-off that the study fixes beforehand: that is
#   the case that raises, on valid data.
# Way out: Read fit.power_law.alpha, which is there in both cases.
# Output:
#   searched: alpha 2.4842, power_law.alpha 2.4842
#   given:    alpha does not exist, power_law.alpha 2.4821
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'powerlaw==2.0.0' 'numpy==2.4.6' 'scipy==1.17.1'
cd "$folder"
venv/bin/python - <<'PYTHON'
import contextlib
import io

import numpy as np
import powerlaw

data = np.random.default_rng(0).pareto(1.5, 2000) + 1
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    searched, given = powerlaw.Fit(data), powerlaw.Fit(data, xmin=1.0)
print(f"searched: alpha {searched.alpha:.4f}, power_law.alpha {searched.power_law.alpha:.4f}")
print(f"given:    alpha {getattr(given, 'alpha', 'does not exist')}, power_law.alpha {given.power_law.alpha:.4f}")
if not (hasattr(searched, "alpha") and not hasattr(given, "alpha") and hasattr(given.power_law, "alpha")):
    raise SystemExit("CHANGED: alpha exists in both cases, or in neither")
print("unchanged")
PYTHON

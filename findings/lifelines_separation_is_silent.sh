#!/usr/bin/env bash
# Accelerated-failure-time fits of a group that never groks end in p = 1 or p = 0, mostly without a word.
#
# Packages: lifelines==0.30.3, pandas==2.3.3, numpy==2.4.6 (Python 3.11)
# Expected: Where one group has no event at all its effect has no finite estimate: the fit warns of it or fails.
# Seen: Weibull returns a standard error in the thousands and p near 1 with no warning. Log-normal returns a standard
#   error of exactly 0 and p = 0 and warns of the Hessian only. The log-rank test is clear.
# Why it matters: 'No run groks without weight decay' is the commonest result of a study, and it is this case: the
#   same data say 'no effect' in one model and 'certain' in the other.
# Way out: Compare groups by the log-rank test and by counts; fit no such model where a group has no event.
# Output:
#   seed 0 WeibullAFTFitter: no_decay standard error 8.05e+10, p 1, 0 warnings
#   seed 0 LogNormalAFTFitter: no_decay standard error 0, p 0, 1 warnings
#   seed 0 log-rank: p 3e-06
#   seed 1 WeibullAFTFitter: no_decay standard error 6.94e+19, p 1, 0 warnings
#   seed 1 LogNormalAFTFitter: no_decay standard error 0, p 0, 1 warnings
#   seed 1 log-rank: p 3e-06
#   seed 2 WeibullAFTFitter: no_decay standard error 4.45e+06, p 1, 0 warnings
#   seed 2 LogNormalAFTFitter: no_decay standard error 0, p 0, 1 warnings
#   seed 2 log-rank: p 3e-06
#   seed 3 WeibullAFTFitter: no_decay standard error 608, p 0.99, 0 warnings
#   seed 3 LogNormalAFTFitter: no_decay standard error 0, p 0, 1 warnings
#   seed 3 log-rank: p 3e-06
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
import warnings

import numpy as np
import pandas as pd
from lifelines import LogNormalAFTFitter, WeibullAFTFitter
from lifelines.statistics import logrank_test

budget, fits = 20_000.0, {WeibullAFTFitter: [], LogNormalAFTFitter: []}
for seed in range(4):
    times = np.random.default_rng(seed).lognormal(8, 0.2, 10)
    runs = pd.DataFrame(
        {
            "time": np.r_[times, np.full(10, budget)],
            "grokked": np.r_[np.ones(10), np.zeros(10)],
            "no_decay": np.r_[np.zeros(10), np.ones(10)],
        }
    )
    for fitter, results in fits.items():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            row = fitter().fit(runs, "time", "grokked").summary.iloc[0]
        results.append((row["se(coef)"], row["p"], len(said)))
        print(f"seed {seed} {fitter.__name__}: {row.name[1]} standard error {row['se(coef)']:.3g}, p {row['p']:.3g}, {len(said)} warnings")
    decay = runs.no_decay == 0
    test = logrank_test(runs.time[decay], runs.time[~decay], runs.grokked[decay], runs.grokked[~decay])
    print(f"seed {seed} log-rank: p {test.p_value:.2g}")
silent = [p > 0.9 and n == 0 for _, p, n in fits[WeibullAFTFitter]]
zero = [error == 0 and p == 0 for error, p, _ in fits[LogNormalAFTFitter]]
if not (any(silent) and any(zero)):
    raise SystemExit(f"CHANGED: silent Weibull fits {silent}, log-normal fits with p = 0 {zero}")
print("unchanged")
PYTHON

#!/usr/bin/env bash
# An infinite loss that is logged with MLflow comes back from its database as a finite number.
#
# Packages: mlflow-skinny==3.17.2, SQLAlchemy==2.0.54, alembic==1.20.0 (Python 3.11)
# Expected: inf, as from its folder of files, or nothing; NaN comes back as NaN from both.
# Seen: 1.7976931348623157e+308, the largest double, without a word.
# Why it matters: That a loss was infinite is how one sees where a training broke. math.isfinite says that all is well,
#   the mean over seeds is finite too, and a plot's axis ends at 1e308.
# Way out: Take values of at least sys.float_info.max for infinite when runs are read back, or keep runs in files.
# Output:
#   database: nan, 1.7976931348623157e+308, -1.7976931348623157e+308; all but NaN finite: True
#   files:    nan, inf, -inf
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'mlflow-skinny==3.17.2' 'SQLAlchemy==2.0.54' 'alembic==1.20.0'
cd "$folder"
MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true MLFLOW_ALLOW_FILE_STORE=true venv/bin/python - 2> log <<'PYTHON' || { cat log >&2; exit 1; }
import math

import mlflow

LOSSES = (math.nan, math.inf, -math.inf)


def back(where: str) -> list[float]:
    """What was logged, read back."""
    mlflow.set_tracking_uri(where)
    with mlflow.start_run() as run:
        for step, loss in enumerate(LOSSES):
            mlflow.log_metric("train_loss", loss, step=step)
    return [metric.value for metric in mlflow.MlflowClient().get_metric_history(run.info.run_id, "train_loss")]


database, files = back("sqlite:///runs.db"), back("file:./runs")
finite = all(map(math.isfinite, database[1:]))
print("database:", ", ".join(map(str, database)) + f"; all but NaN finite: {finite}")
print("files:   ", ", ".join(map(str, files)))
if not (finite and math.isnan(database[0]) and files[1:] == [math.inf, -math.inf]):
    raise SystemExit("CHANGED: an infinite value comes back otherwise")
print("unchanged")
PYTHON

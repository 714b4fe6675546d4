#!/usr/bin/env bash
# A NaN that is logged with trackio is stored as the text "NaN" among numbers.
#
# Packages: trackio==0.43.0 (Python 3.11)
# Expected: A NaN is null, or the bare word NaN that Python's json module writes and reads; what was a number is a number
#   or nothing when it is read.
# Seen: The row's JSON has the text "NaN" and, for infinities, "Infinity": json.loads gives a str, so that max, mean and
#   comparisons fail or, after a conversion that skips texts, the step is missing.
# Why it matters: A loss of NaN is the moment at which a training broke. A reader that keeps numbers only shows a curve
#   without it.
# Way out: Pass every value through float(), which takes both texts; treat null as missing.
# Output:
#   stored b'{"train_loss":"NaN","test_loss":"Infinity"}' read str str by float nan inf
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'trackio==0.43.0'
cd "$folder"
TRACKIO_DIR="$folder/logs" HF_HOME="$folder/home" HF_HUB_OFFLINE=1 venv/bin/python - <<'PYTHON'
import json
import os
import sqlite3
from pathlib import Path

import trackio

trackio.init(project="grokking", name="a")
trackio.log({"train_loss": float("nan"), "test_loss": float("inf")}, step=0)
trackio.finish()
(database,) = Path(os.environ["TRACKIO_DIR"]).glob("*.db")
((stored,),) = sqlite3.connect(database).execute("SELECT metrics FROM metrics").fetchall()
train, test = json.loads(stored).values()
print("stored", stored, "read", type(train).__name__, type(test).__name__, "by float", float(train), float(test))
if (train, test) != ("NaN", "Infinity"):
    raise SystemExit("CHANGED: a NaN is stored as something else")
print("unchanged")
PYTHON

#!/usr/bin/env bash
# A column of numbers whose first hundred values are missing is text for polars, and its mean is None.
#
# Packages: polars==2.1.0 (Python 3.11)
# Expected: Numbers with gaps, as pandas reads them, or an error; a mean of texts is an error.
# Seen: The type is guessed from the first 100 rows, and nothing in them means text: the numbers further down become
#   texts without a word, mean and median are None, and the largest is the last in the alphabet.
# Why it matters: A table of runs sorted by weight decay or share of the pairs begins with those that never grok. The
#   step at which the others grok is then text, its mean is missing, and its largest value is wrong.
# Way out: Read with infer_schema_length=None, or name the type (schema_overrides). Parquet keeps types: the toolkit's
#   `interp study export` writes it.
# Output:
#   99 runs without a step before those with one: Int64, mean 1137.5, largest 1625
#   100 runs without a step before those with one: String, mean None, largest 975
#   the same, infer_schema_length=None: Int64, mean 1137.5, largest 1625
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'polars==2.1.0'
cd "$folder"
venv/bin/python - <<'PYTHON'
import io

import polars as pl


def read(missing: int, **how) -> tuple[str, object, object]:
    steps = [""] * missing + [str(650 + 25 * n) for n in range(40)]
    table = "run,grokked\n" + "".join(f"{run},{step}\n" for run, step in enumerate(steps))
    column = pl.read_csv(io.StringIO(table), **how)["grokked"]
    return str(column.dtype), column.mean(), column.max()


few, many, all_rows = read(99), read(100), read(100, infer_schema_length=None)
for what, (kind, mean, largest) in (
    ("99 runs without a step before those with one", few),
    ("100 runs without a step before those with one", many),
    ("the same, infer_schema_length=None", all_rows),
):
    print(f"{what}: {kind}, mean {mean}, largest {largest}")
if few != all_rows or many != ("String", None, "975"):
    raise SystemExit("CHANGED: the type of such a column is found otherwise")
print("unchanged")
PYTHON

#!/usr/bin/env bash
# The same array has a NaN or a null in its parquet file by the route it came: from numpy NaN, from pandas null.
#
# Packages: pyarrow==26.0.1, pandas==3.1.1, numpy==2.4.6 (Python 3.11)
# Expected: A NaN is a value of the column. Both routes write it, and a reader counts and filters alike.
# Seen: pyarrow.table of the array keeps NaN, with no null; from a DataFrame the same numbers make a null. The mean is
#   NaN of the one and finite of the other, and the file's own statistics say 0 and 1 nulls.
# Why it matters: A loss that became NaN is the sign of a diverged run. Written through pandas it is a value not
#   measured: means skip it.
# Way out: Use one route for all files, and say in a column of its own why a value is missing.
# Output:
#   by way of numpy: [1.0, nan, 3.0], nulls in the file's statistics 0, mean nan
#   by way of pandas: [1.0, None, 3.0], nulls in the file's statistics 1, mean 2.0
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'pyarrow==26.0.1' 'pandas==3.1.1' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

loss = np.array([1.0, np.nan, 3.0])
pq.write_table(pa.table({"loss": loss}), "numpy.parquet")
pd.DataFrame({"loss": loss}).to_parquet("pandas.parquet")
seen = {}
for route in ("numpy", "pandas"):
    column = pq.read_table(f"{route}.parquet").column("loss")
    nulls = pq.ParquetFile(f"{route}.parquet").metadata.row_group(0).column(0).statistics.null_count
    seen[route] = (column.null_count, nulls, pc.mean(column).as_py())
    print(f"by way of {route}: {column.to_pylist()}, nulls in the file's statistics {nulls}, mean {seen[route][2]}")
if not (seen["pandas"] == (1, 1, 2.0) and seen["numpy"][:2] == (0, 0) and np.isnan(seen["numpy"][2])):
    raise SystemExit(f"CHANGED: {seen}")
print("unchanged")
PYTHON

#!/usr/bin/env bash
# Strict validation of a dataclass refuses every dict in Python mode and takes the same content as JSON.
#
# Packages: pydantic==2.14.4 (Python 3.11)
# Expected: Strict means that values are not converted: a table read from TOML is a valid dataclass if its fields have
#   the right types, and a list a valid tuple if JSON's is.
# Seen: validate_python(dict, strict=True) demands an instance of the dataclass; validate_json of the same content,
#   strict too, makes one, and turns the list into a tuple.
# Why it matters: Strictness is wanted for training configurations, where true for 1 or '3' for 3 is a mistake, and
#   TOML comes as dicts: one gives up either strictness or TOML.
# Way out: Turn the tables into JSON text first and validate that, as the toolkit does.
# Output:
#   Python mode: Input should be an instance of Config; JSON mode: Config(p=97, steps=(0, 100))
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'pydantic==2.14.4'
cd "$folder"
venv/bin/python - <<'PYTHON'
import json
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError


@dataclass(frozen=True)
class Config:
    p: int = 113
    steps: tuple[int, ...] = ()


adapter, table = TypeAdapter(Config), {"p": 97, "steps": [0, 100]}
try:
    adapter.validate_python(table, strict=True)
    python = "accepted"
except ValidationError as error:
    python = error.errors()[0]["msg"]
as_json = adapter.validate_json(json.dumps(table), strict=True)
print(f"Python mode: {python}; JSON mode: {as_json}")
if python == "accepted" or as_json != Config(97, (0, 100)):
    raise SystemExit("CHANGED: the two modes agree")
print("unchanged")
PYTHON

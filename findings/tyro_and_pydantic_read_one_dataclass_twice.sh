#!/usr/bin/env bash
# The same value in the same dataclass differs by its origin: command line through tyro or TOML through pydantic.
#
# Packages: tyro==1.0.17, pydantic==2.14.4 (Python 3.11)
# Expected: A dataclass says what a value is: `--steps 1e4` and `steps = 1e4` are both taken or both refused, `--decay
#   1` and `decay = 1` are equal in type.
# Seen: pydantic takes 1e4, 1.0 and true for an int, tyro refuses them. For `float | int` tyro takes the first type
#   that fits, 1.0, and pydantic the nearest, 1; for `str | int` they disagree on 7. A misspelt key is refused by tyro
#   and ignored by pydantic.
# Why it matters: A run started from a file and one started with the same settings as flags have different
#   configurations, so that a hash of it no longer finds the run.
# Way out: Avoid unions, validate strictly and look for unknown keys. The toolkit validates files in JSON mode with
#   strict=True and refuses unknown fields itself.
# Output:
#   steps 1e4: tyro refused, pydantic 10000
#   steps true: tyro refused, pydantic 1
#   decay 1: tyro 1.0, pydantic 1
#   tag 7: tyro '7', pydantic 7
#   decey 1: tyro refused, pydantic 'ignored'
#   steps 100: tyro 100, pydantic 100
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'tyro==1.0.17' 'pydantic==2.14.4'
cd "$folder"
venv/bin/python - <<'PYTHON'
import contextlib
import io
import tomllib
from dataclasses import dataclass

import tyro
from pydantic import TypeAdapter, ValidationError


@dataclass(frozen=True)
class Config:
    steps: int = 0
    decay: float | int = 5
    tag: str | int = "a"


def by_flag(name: str, value: str) -> object:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return repr(getattr(tyro.cli(Config, args=[f"--{name}", value]), name, None))
        except SystemExit:
            return "refused"


def by_file(name: str, value: str) -> object:
    try:
        return repr(getattr(TypeAdapter(Config).validate_python(tomllib.loads(f"{name} = {value}")), name, "ignored"))
    except ValidationError:
        return "refused"


cases = [("steps", "1e4"), ("steps", "true"), ("decay", "1"), ("tag", "7"), ("decey", "1"), ("steps", "100")]
seen = {case: (by_flag(*case), by_file(*case)) for case in cases}
for (name, value), (flag, file) in seen.items():
    print(f"{name} {value}: tyro {flag}, pydantic {file}")
expected = [("refused", "10000"), ("refused", "1"), ("1.0", "1"), ("'7'", "7"), ("refused", "'ignored'"), ("100", "100")]
if list(seen.values()) != expected:
    raise SystemExit("CHANGED: the two read otherwise")
print("unchanged")
PYTHON

#!/usr/bin/env bash
# Under beartype an axis name shared by the items of a list is compared by chance or never, and a NamedTuple is not
# checked at all.
#
# Packages: jaxtyping==0.3.11, beartype==0.23.1, numpy==2.4.6 (Python 3.11)
# Expected: list[Float[ndarray, 'a']] means that all items have one length a, as two arguments with that name must.
# Seen: beartype looks at one item of a list, drawn at random. Lengths 2 and 3 pass always, or, if the function's
#   return is annotated too and the arguments are looked at twice, half of the time. A jaxtyped dataclass refuses
#   wrong shapes, a jaxtyped NamedTuple takes them.
# Why it matters: A list with one array for each checkpoint or layer is the usual shape of data here: its annotation
#   promises what nobody checks, or makes a test fail at random.
# Way out: Stack into one array with an axis of its own, or assert the lengths.
# Output:
#   lengths 2 and 3 refused: {'arguments': True, 'dataclass': True, 'NamedTuple': False, 'list': False}
#   list, with an annotated return: refused now and then in 200 calls
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'jaxtyping==0.3.11' 'beartype==0.23.1' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from beartype import beartype
from jaxtyping import Float, TypeCheckError, jaxtyped


@jaxtyped(typechecker=beartype)
def two(x: Float[np.ndarray, "a"], y: Float[np.ndarray, "a"]) -> None: ...


@jaxtyped(typechecker=beartype)
def listed(items: list[Float[np.ndarray, "a"]]): ...


@jaxtyped(typechecker=beartype)
def listed_with_return(items: list[Float[np.ndarray, "a"]]) -> None: ...


@jaxtyped(typechecker=beartype)
@dataclass
class Record:
    x: Float[np.ndarray, "a"]
    y: Float[np.ndarray, "a"]


@jaxtyped(typechecker=beartype)
class Pair(NamedTuple):
    x: Float[np.ndarray, "a"]
    y: Float[np.ndarray, "a"]


def refused(call, *arguments: object) -> bool:
    try:
        call(*arguments)
    except TypeCheckError:
        return True
    return False


short, long = np.ones(2), np.ones(3)
seen = {
    "arguments": refused(two, short, long), "dataclass": refused(Record, short, long), "NamedTuple": refused(Pair, short, long),
    "list": any(refused(listed, [short, long]) for _ in range(200)),
}
times = sum(refused(listed_with_return, [short, long]) for _ in range(200))
print("lengths 2 and 3 refused:", seen)
print("list, with an annotated return: refused", "now and then" if 0 < times < 200 else f"{times} times", "in 200 calls")
if seen != {"arguments": True, "list": False, "dataclass": True, "NamedTuple": False} or not 0 < times < 200:
    raise SystemExit("CHANGED: other cases are checked")
print("unchanged")
PYTHON

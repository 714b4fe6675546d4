#!/usr/bin/env bash
# The elements of a group come neither sorted nor identity first, and representatives of its classes change from
# process to process.
#
# Packages: sympy==1.14.0 (Python 3.11)
# Expected: Elements have a fixed order that begins with the identity, as they do for cyclic and dihedral groups; the
#   same program names the same class by the same element.
# Seen: In A5 the identity is the sixth, in S5 the twenty-first. Conjugacy classes are sets: their elements come in an
#   order that follows Python's hashing, which is seeded anew in every process.
# Why it matters: Token numbers of a group task are positions in that list, with the identity not where one looks for
#   it. What is computed at 'the first element of a class' cannot be compared between processes, nor pinned in a test.
# Way out: Sort by array_form, and take the least element of a class to stand for it.
# Output:
#   position of the identity {'C6': 0, 'D6': 0, 'A5': 5, 'S5': 20}
#   first elements of the classes of S4, two processes:
#   [[0, 1, 2, 3], [3, 2, 1, 0], [2, 1, 0, 3], [3, 2, 0, 1], [0, 2, 3, 1]]
#   [[0, 1, 2, 3], [1, 0, 3, 2], [0, 1, 3, 2], [3, 2, 0, 1], [0, 3, 1, 2]]
#
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'sympy==1.14.0'
cd "$folder"
venv/bin/python - <<'PYTHON'
import os
import subprocess
import sys

from sympy.combinatorics.named_groups import AlternatingGroup, CyclicGroup, DihedralGroup, SymmetricGroup

places = {}
for name, group in {"C6": CyclicGroup(6), "D6": DihedralGroup(6), "A5": AlternatingGroup(5), "S5": SymmetricGroup(5)}.items():
    places[name] = [g.array_form for g in group.elements].index(list(range(group.degree)))
print("position of the identity", places)
program = """
from sympy.combinatorics.named_groups import SymmetricGroup
print([next(iter(c)).array_form for c in sorted(SymmetricGroup(4).conjugacy_classes(), key=lambda c: (len(c), min(g.array_form for g in c)))])
"""
seeds = [{**os.environ, "PYTHONHASHSEED": str(seed)} for seed in range(1, 7)]
first = [subprocess.run([sys.executable, "-c", program], env=seed, capture_output=True, text=True, check=True).stdout for seed in seeds]
print("first elements of the classes of S4, two processes:", first[0] + next((f for f in first if f != first[0]), first[0]), sep="\n")
if not (places["A5"] > 0 and places["S5"] > 0 and places["C6"] == 0 and len(set(first)) > 1):
    raise SystemExit("CHANGED: the order is now fixed")
print("unchanged")
PYTHON

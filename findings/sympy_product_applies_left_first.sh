#!/usr/bin/env bash
# The product p*q of two permutations applies p first, so a table built from it is that of the opposite group.
#
# Packages: sympy==1.14.0 (Python 3.11)
# Expected: p*q is the composition of functions, (p*q)(i) = p(q(i)), as in most texts on representations.
# Seen: (p*q)(i) = q(p(i)). Every commutative check passes; the table of S3 is the transpose of the composition's.
# Why it matters: A network trained on composition of permutations is read with the wrong order of factors: left
#   cosets look like right ones and matrices of a representation multiply in reverse.
# Way out: Write the composition out as [p(q(i)) for i in range(n)], or use q*p, and test one product that does not
#   commute.
# Output:
#   p*q [2, 0, 1]; p(q(i)) [1, 2, 0]; q(p(i)) [2, 0, 1]
#   table of * is that of composition: False; its transpose: True
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'sympy==1.14.0'
cd "$folder"
venv/bin/python - <<'PYTHON'
from sympy.combinatorics import Permutation
from sympy.combinatorics.named_groups import SymmetricGroup

p, q = Permutation([1, 0, 2]), Permutation([0, 2, 1])
product, functions, reverse = (p * q).array_form, [p(q(i)) for i in range(3)], [q(p(i)) for i in range(3)]
print(f"p*q {product}; p(q(i)) {functions}; q(p(i)) {reverse}")
elements = sorted(SymmetricGroup(3).elements, key=lambda g: g.array_form)
table = [[elements.index(a * b) for b in elements] for a in elements]
composed = [[elements.index(Permutation([a(b(i)) for i in range(3)])) for b in elements] for a in elements]
transposed = [list(row) for row in zip(*composed)]
print(f"table of * is that of composition: {table == composed}; its transpose: {table == transposed}")
if not (product == reverse != functions and table == transposed != composed):
    raise SystemExit("CHANGED: p*q now composes in the other order")
print("unchanged")
PYTHON

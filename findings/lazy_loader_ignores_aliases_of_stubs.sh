#!/usr/bin/env bash
# A stub's alias exists for the type checker only; at run time the name is the original one.
#
# Packages: lazy-loader==0.6 (Python 3.11)
# Expected: `from .losses import cross as cross_entropy` in the stub gives the package a name cross_entropy, as type
#   checkers read it.
# Seen: The package has `cross` and no `cross_entropy`: the alias is dropped. A constant or a function declared in the
#   stub is dropped too.
# Why it matters: A public name that mypy approves and an editor completes raises AttributeError for the user, and
#   another that nobody declared is public.
# Way out: Repeat the name (`from .losses import cross as cross`), and test that every name in the stub can be had.
# Output:
#   names ['cross']; cross_entropy False, cross True, BASE False
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'lazy-loader==0.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys
from pathlib import Path

Path("shop").mkdir()
Path("shop/__init__.py").write_text("import lazy_loader\n__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)\n")
Path("shop/__init__.pyi").write_text("from .losses import cross as cross_entropy\nBASE: float\n")
Path("shop/losses.py").write_text("def cross(): return 'found'\n")
sys.path.insert(0, ".")
import shop

print(f"names {shop.__all__}; cross_entropy {hasattr(shop, 'cross_entropy')}, cross {hasattr(shop, 'cross')}, BASE {hasattr(shop, 'BASE')}")
if (hasattr(shop, "cross_entropy"), hasattr(shop, "cross"), hasattr(shop, "BASE")) != (False, True, False):
    raise SystemExit("CHANGED: names of the stub are treated otherwise")
print("unchanged")
PYTHON

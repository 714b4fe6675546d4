#!/usr/bin/env bash
# If a lazily loaded module fails with an AttributeError, hasattr says that its names do not exist.
#
# Packages: lazy-loader==0.6 (Python 3.11)
# Expected: A module that cannot be imported raises its own error, whoever asks.
# Seen: The error passes through the package's __getattr__, where an AttributeError means 'no such name': hasattr is
#   False, getattr takes its default, and `from shop import f` says that the name cannot be imported and not why.
# Why it matters: One renamed function of an outside library, the commonest of failures, makes a whole analysis vanish
#   from a listing that asks with hasattr.
# Way out: Import the modules themselves in a test; when a name is said not to exist, import its module directly.
# Output:
#   hasattr False, getattr with a default 'default', in __all__ True
#   from shop import f: cannot import name 'f' from 'shop'
#   import shop.losses: module 'math' has no attribute 'gone_since_the_last_version'
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
Path("shop/__init__.py").write_text("import lazy_loader\n__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={'losses': ['f']})\n")
Path("shop/losses.py").write_text("import math\n\nX = math.gone_since_the_last_version\n\ndef f(): ...\n")
sys.path.insert(0, ".")
import shop

try:
    from shop import f
except ImportError as error:
    said = str(error).split(" (")[0]
try:
    import shop.losses
except AttributeError as error:
    cause = str(error)
print(f"hasattr {hasattr(shop, 'f')}, getattr with a default {getattr(shop, 'f', 'default')!r}, in __all__ {'f' in shop.__all__}")
print(f"from shop import f: {said}")
print(f"import shop.losses: {cause}")
if hasattr(shop, "f") or "f" not in shop.__all__:
    raise SystemExit("CHANGED: the failure is no longer taken for a missing name")
print("unchanged")
PYTHON

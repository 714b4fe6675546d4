#!/usr/bin/env bash
# A forbidden contract is kept, and the import happens all the same, if a package in between loads its modules through
# a lazy stub.
#
# Packages: import-linter==2.17, grimp==3.20, lazy-loader==0.6 (Python 3.11)
# Expected: The stub is where the imports stand, and they are carried out when the program runs: they are edges of the
#   graph.
# Seen: grimp reads .py files only. shop.low uses a function of shop.middle, one of whose modules imports shop.high.
#   With a plain import in middle/__init__.py the contract 'low must not reach high' is BROKEN; with the same line in
#   the stub that lazy_loader reads it is KEPT.
# Why it matters: Research packages use lazy stubs to start fast without torch, and a forbidden contract to prove that
#   light parts never load heavy ones: the proof fails exactly where laziness is used.
# Way out: State layers that name every package: a layer is taken with all its modules, whose own imports are seen, as
#   the last line of the output shows. The toolkit's contract is of that kind.
# Output:
#   forbidden contract, plain import: BROKEN; lazy stub: KEPT, and calling shop.low.h() has loaded shop.high: True
#   layers contract, lazy stub: BROKEN
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    'import-linter==2.17' 'grimp==3.20' 'lazy-loader==0.6'
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess
import sys
from pathlib import Path

for package in ("shop", "shop/high", "shop/middle", "shop/low"):
    Path(package).mkdir()
    Path(package, "__init__.py").touch()
Path("shop/high/__init__.py").write_text("def f(): return 'from high'\n")
Path("shop/middle/inner.py").write_text("from shop.high import f\n\ndef g(): return f()\n")
Path("shop/low/__init__.py").write_text("from shop import middle\n\ndef h(): return middle.g()\n")
FORBIDDEN = "type = forbidden\nsource_modules = shop.low\nforbidden_modules = shop.high\n"
LAYERS = "type = layers\ncontainers = shop\nlayers =\n    high\n    middle\n    low\n"
LINE = "from .inner import g\n"
LAZY = "import lazy_loader\n__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)\n"


def verdict(contract: str) -> str:
    Path(".importlinter").write_text(f"[importlinter]\nroot_package = shop\n[importlinter:contract:one]\nname = contract\n{contract}")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    return next(word for word in ("KEPT", "BROKEN") if f"contract {word}" in said)


Path("shop/middle/__init__.py").write_text(LINE)
seen = [verdict(FORBIDDEN)]
Path("shop/middle/__init__.py").write_text(LAZY)
Path("shop/middle/__init__.pyi").write_text(LINE)
seen += [verdict(FORBIDDEN), verdict(LAYERS)]
program = "import sys, shop.low; shop.low.h(); print('shop.high' in sys.modules)"
loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
print(f"forbidden contract, plain import: {seen[0]}; lazy stub: {seen[1]}, and calling shop.low.h() has loaded shop.high: {loaded}")
print(f"layers contract, lazy stub: {seen[2]}")
if (seen, loaded) != (["BROKEN", "KEPT", "BROKEN"], "True"):
    raise SystemExit("CHANGED: imports of stubs are seen, or the contracts judge otherwise")
print("unchanged")
PYTHON

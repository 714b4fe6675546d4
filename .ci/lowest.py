"""Print the lowest version of each direct dependency that pyproject.toml allows, as constraints for pip.

    python .ci/lowest.py > lowest.txt

What constraints.txt pins is printed as it is pinned: of some versions there is no build that a machine without a GPU can do with.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEEDED = re.compile(r"([A-Za-z0-9_.-]+)>=([0-9][0-9a-z.]*)(?:,.*)?")


def bounds() -> Iterator[tuple[str, str]]:
    """Each direct dependency, of every extra too, with its lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for needed in [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]:
        found = NEEDED.fullmatch(needed)
        if found is None:
            raise SystemExit(f"pyproject.toml: given {needed!r}, expected a lower bound such as {needed.split('=')[0]}>=1.0")
        yield found.group(1), found.group(2)


def pinned() -> dict[str, str]:
    """What constraints.txt says, by name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line and not line.startswith("#"))


def main() -> None:
    """Print them, each once."""
    fixed = pinned()
    for name, least in dict.fromkeys(bounds()):
        if name in fixed:
            sys.stderr.write(f"NOT THE LOWEST: {name} {fixed[name]}, which constraints.txt pins, in place of {least}\n")
        print(f"{name}=={fixed.get(name, least)}")


if __name__ == "__main__":
    main()

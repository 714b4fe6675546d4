"""`python -m vandal`: spoil real runs for some minutes, and print a table of what became of them.

With tests/ on PYTHONPATH, or by `make vandal`. Each round has a seed, its kind and its number; a failed one prints the
command that repeats only it, and keeps its files.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"  # a process that has used several threads cannot be forked

if __name__ == "__main__":
    import sys

    from vandal.going import main

    sys.exit(main())

"""``python -m interp.live DESCRIPTOR PATH``: started by `interp.live.attendant.attended`, not by hand."""

import sys
from pathlib import Path

from interp.live.attendant import attend

attend(int(sys.argv[1]), Path(sys.argv[2]))

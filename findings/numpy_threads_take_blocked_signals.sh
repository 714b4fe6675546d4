#!/usr/bin/env bash
# A signal that the main thread blocks interrupts it all the same, once numpy is imported.
#
# Packages: numpy==2.4.6 (Python 3.11)
# Expected: signal.pthread_sigmask(SIG_BLOCK, [SIGINT]) in a program without threads of its own puts Ctrl-C off: it is raised
#   when the signal is unblocked, not before. So a checkpoint can be written, or a process started and noted, in one piece.
# Seen: Without numpy that is so. Importing numpy starts the threads of its linear algebra, which block nothing: the system gives
#   the signal to one of them, and Python, which runs handlers in the main thread whoever was given the signal, raises
#   KeyboardInterrupt there, in the middle of what was to be left alone. threading.enumerate() shows the main thread only.
# Why it matters: Every training loop imports numpy or torch. A mask that was tested in a script without them protects nothing
#   there: half of what it guards is done, or a process that was just forked is known to nobody.
# Way out: Replace the handler for that moment: signal.signal(SIGINT, note), and raise it again afterwards. (The mask still serves
#   for processes that are started meanwhile: they inherit it.)
# Output:
#   without numpy: put off, threads of Python: 1
#   with numpy: interrupted, threads of Python: 1
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'numpy==2.4.6'
cd "$folder"
cat > blocked.py <<'PYTHON'
import os
import signal
import sys
import threading
import time

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background command ignores it
if sys.argv[1] == "with":
    import numpy  # noqa: F401

before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
found = "put off"
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)  # ends early if it is interrupted
except KeyboardInterrupt:
    found = "interrupted"
try:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
except KeyboardInterrupt:
    pass
print(f"{sys.argv[1]} numpy: {found}, threads of Python: {threading.active_count()}")
PYTHON
# Also where there is one core, for which it would start none.
without=$(venv/bin/python blocked.py without)
with=$(OPENBLAS_NUM_THREADS=2 venv/bin/python blocked.py with)
echo "$without"
echo "$with"
if [ "$without" != "without numpy: put off, threads of Python: 1" ] || [ "$with" != "with numpy: interrupted, threads of Python: 1" ]; then
    echo "CHANGED: expected that numpy's threads take a signal that the main thread blocks" >&2
    exit 1
fi
echo unchanged

#!/usr/bin/env bash
# ray.init replaces the SIGTERM handler of the process that calls it, without a word: what the program does to save is skipped.
#
# Packages: ray==2.60.0 (Python 3.11)
# Expected: A handler that a program has set for SIGTERM stays, or init says that it does not.
# Seen: After init the handler is Ray's own, which ends the process by sys.exit from inside; the program's is not called. That for
#   SIGINT stays.
# Why it matters: Batch systems announce the end of a job by SIGTERM. A study that answers it by saving its runs, as it did before
#   it used Ray, saves nothing.
# Way out: Keep signal.getsignal(SIGTERM) before init and set it again afterwards, in the main thread.
# Output:
#   SIGTERM: handler kept False, called 0 times, the process ended by SystemExit
#   SIGINT: handler kept True
#   unchanged
set -euo pipefail

sed -n '2,/^# Output:/ s/^# \{0,1\}//p' "$0"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'ray==2.60.0'
cd "$folder"
RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled venv/bin/python - <<'PYTHON'
import os
import signal
import tempfile

import ray

called = []
handlers = {}
for number in (signal.SIGTERM, signal.SIGINT):
    handlers[number] = lambda received, frame: called.append(received)
    signal.signal(number, handlers[number])
with tempfile.TemporaryDirectory() as session:
    ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR", _temp_dir=session)
    kept = {number: signal.getsignal(number) is handler for number, handler in handlers.items()}
    ended = "nothing"
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except SystemExit:
        ended = "SystemExit"
    ray.shutdown()
print(f"SIGTERM: handler kept {kept[signal.SIGTERM]}, called {len(called)} times, the process ended by {ended}")
print(f"SIGINT: handler kept {kept[signal.SIGINT]}")
if kept != {signal.SIGTERM: False, signal.SIGINT: True} or called or ended != "SystemExit":
    raise SystemExit("CHANGED")
print("unchanged", flush=True)
os._exit(0)
PYTHON

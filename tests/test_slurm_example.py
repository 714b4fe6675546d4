"""The batch script of the documentation, run as it stands there, with stand-ins for what SLURM brings."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from small_study import in_turn, run_bytes, small_base, small_study

DOCS = Path(__file__).parents[1] / "docs" / "clusters.md"


def test_a_preempted_task_saves_is_requeued_and_goes_on(tmp_path: Path) -> None:
    script = re.search(r"```bash\n(#!/bin/bash.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert script is not None
    study = small_study(tmp_path / "shared", base=small_base(steps=400), name="wd")
    study.save()
    (tmp_path / "job.sh").write_text(script[1].replace("/shared/checkpoints", str(tmp_path / "shared")))
    commands = {
        "scontrol": f'#!/bin/sh\necho "$@" >> {tmp_path}/requeued\n',
        "interp": f'#!/bin/sh\nexec {sys.executable} -m interp "$@"\n',
    }
    (tmp_path / "bin").mkdir()
    for name, text in commands.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SLURM_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_ARRAY_TASK_COUNT": "1",
    }  # fmt: skip

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["bash", str(tmp_path / "job.sh")], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    task = start()
    deadline = time.monotonic() + 120
    while not list(study.folder.glob("runs/*/manifest.json")) and time.monotonic() < deadline:
        assert task.poll() is None, task.communicate()[0].decode()
        time.sleep(0.05)
    task.send_signal(signal.SIGTERM)
    said = task.communicate(timeout=60)[0].decode()
    assert task.returncode == 0, said
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"
    again = start()
    said = again.communicate(timeout=180)[0].decode()
    assert again.returncode == 0, said
    assert "8 of 8 runs finished" in said
    alone = small_study(tmp_path / "alone", base=small_base(steps=400), name="wd")
    alone.run(executor=in_turn, progress=False)
    for point in alone.points:
        assert run_bytes(study.path_of(point.name)) == run_bytes(alone.path_of(point.name))

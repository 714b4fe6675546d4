"""Studies on Ray: the bytes of the local runs, a node that dies, a driver that is told to stop or killed; and runs sent home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_study import in_turn, run_bytes, small_base, small_study

from interp import Study, open_run
from interp.cli import main
from interp.errors import DataError, UsageError
from interp.observing.fingerprint import toolkit_digest
from interp.store.parcel import pack_run, unpack_run
from interp.studies import ray_tasks
from interp.studies.placing import placed
from interp.studies.study_plan import point_name
from interp.studies.worker import RUNS, Work

HAS_RAY = True
try:
    from ray.cluster_utils import Cluster  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    HAS_RAY = False

on_ray = pytest.mark.skipif(not HAS_RAY and os.environ.get("CI") != "true", reason="Ray is not installed (the extra `ray`)")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study, trained in this process."""
    study = long_study(tmp_path_factory.mktemp("local"))
    study.run(executor=in_turn, progress=False)
    return study


def long_study(root: Path) -> Study:
    """Eight runs of about a second."""
    study = small_study(root, base=small_base(steps=300), name="long")
    study.save()
    return study


def assert_equal(study: Study, local: Study) -> None:
    for point in local.points:
        assert run_bytes(study.path_of(point.name)) == run_bytes(local.path_of(point.name))


def test_a_run_that_is_trained_elsewhere_comes_home_whole(local: Study, tmp_path: Path) -> None:
    study = long_study(tmp_path)
    work = Work(study.folder, study.plan.keep, study.plan.measures)
    point = study.points[0]
    outcome = ray_tasks._do(work, point.config, "a mark that is not there", toolkit_digest())
    assert not study.path_of(point.name).exists()
    assert ray_tasks._home(outcome, work, point.config) == "finished"
    assert run_bytes(study.path_of(point.name)) == run_bytes(local.path_of(point.name))


def test_a_parcel_that_was_damaged_leaves_nothing_behind(local: Study, tmp_path: Path) -> None:
    data = pack_run(local.path_of(local.points[0].name))
    assert not unpack_run(data, tmp_path / "sound").verify()
    assert unpack_run(data, tmp_path / "sound").path == tmp_path / "sound"  # there already
    place = data.index(b"safetensors") + 700  # inside a checkpoint
    for damaged in (data[:5000], data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :], b"", b"x" * 10_000):
        with pytest.raises((DataError, UsageError)):
            unpack_run(damaged, tmp_path / "damaged")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sound"]


def test_an_archive_that_points_outside_is_refused(tmp_path: Path) -> None:
    import io
    import tarfile

    for name, kind in (("../outside", tarfile.REGTYPE), ("/outside", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            member = tarfile.TarInfo(name)
            member.type = kind
            archive.addfile(member, io.BytesIO(b""))
        with pytest.raises(DataError, match="regular files only"):
            unpack_run(buffer.getvalue(), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_another_version_on_the_worker_is_refused(tmp_path: Path) -> None:
    study = long_study(tmp_path)
    work = Work(study.folder, "all", ())
    with pytest.raises(UsageError, match="another version of interp"):
        ray_tasks._do(work, study.points[0].config, "mark", "another")


def test_a_ray_that_is_started_here_gets_its_environment_and_this_process_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    started = []

    class Started:
        def is_initialized(self) -> bool:
            return False

        def init(self, **_: Any) -> None:
            started.append({name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")})

        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": 2}

        def shutdown(self) -> None:
            pass

    monkeypatch.setattr(ray_tasks, "_ray", Started)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with ray_tasks._connected(2) as (_, told):
        assert told == {}
    assert started == [{"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}]
    assert (os.environ["OMP_NUM_THREADS"], "NUMBA_NUM_THREADS" in os.environ) == ("7", False)


def test_without_ray_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"interp\[ray\]"):
        placed("ray", workers=None, study=small_study(tmp_path))


def test_a_worker_that_died_is_tried_three_times(local: Study) -> None:
    """Every task of this Ray dies: the run fails with the reason, after three attempts, and none waits for ever."""
    asked: list[str] = []

    class Dying:
        class exceptions:  # noqa: N801
            class RayError(Exception):
                pass

            class RayTaskError(RayError):
                pass

        def remote(self, **_: Any) -> Any:
            return lambda function: self

        def wait(self, references: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
            return references[:1], references[1:]

        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": 1}

        def get(self, _reference: Any) -> Any:
            raise self.exceptions.RayError("the node is gone\nfor good")

    dying = Dying()

    class Task:
        def remote(self, _job: Any, config: Any, *_: Any) -> str:
            asked.append(point_name(config))
            return f"{len(asked)}"

    monkeypatched = Task()
    dying.remote = lambda **_: lambda function: monkeypatched  # type: ignore[method-assign]
    runs = {number: point.config for number, point in enumerate(local.points[:2])}
    found = dict(ray_tasks._results(dying, {}, runs, Work(local.folder, "all", ()), "mark"))
    assert sorted(found) == [0, 1]
    assert all("died 3 times (RayError: the node is gone)" in str(error) for error in found.values())
    assert len(asked) == 6


def driver(study: Study, address: str | None) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **({"RAY_ADDRESS": address} if address else {})}
    command = [sys.executable, "-m", "interp", "study", "run", str(study.folder), "--on", "ray"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


def begun(study: Study) -> int:
    return len(list(study.folder.glob(f"{RUNS}/*/manifest.json")))


def wait_for(condition: Any, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while not condition() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0].decode()
        time.sleep(0.05)
    assert condition()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two Ray nodes on this machine, of one core each."""
    for name, value in ray_tasks._SETTINGS.items():
        monkeypatch.setenv(name, value)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.mark.slow
@on_ray
def test_a_node_that_is_killed_takes_no_run_along(cluster: Any, local: Study, tmp_path: Path) -> None:
    study = long_study(tmp_path)
    process = driver(study, cluster.address)
    wait_for(lambda: begun(study) >= 3, process)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    said = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 0, said
    assert "8 of 8 runs finished" in said
    assert_equal(study, local)


@pytest.mark.slow
@on_ray
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_driver_that_is_stopped_and_started_again(how: signal.Signals, cluster: Any, local: Study, tmp_path: Path) -> None:
    study = long_study(tmp_path)
    process = driver(study, cluster.address)
    wait_for(lambda: begun(study) >= 3, process)
    process.send_signal(how)
    said = process.communicate(timeout=120)[0].decode()
    assert process.returncode == -how, said
    again = driver(study, cluster.address)
    said = again.communicate(timeout=300)[0].decode()
    assert again.returncode == 0, said
    assert_equal(study, local)
    for point in study.points:
        events = [json.loads(line)["event"] for line in (study.path_of(point.name) / "log.jsonl").read_text().splitlines()]
        assert events.count("finished") == 1


@pytest.mark.slow
@on_ray
def test_two_drivers_at_once(cluster: Any, local: Study, tmp_path: Path) -> None:
    study = long_study(tmp_path)
    both = [driver(study, cluster.address) for _ in range(2)]
    texts = [process.communicate(timeout=300)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    assert_equal(study, local)
    for point in study.points:
        events = [json.loads(line)["event"] for line in (study.path_of(point.name) / "log.jsonl").read_text().splitlines()]
        assert events == ["begun", "finished", "thinned"]


@pytest.mark.slow
@on_ray
def test_a_ray_of_its_own(local: Study, tmp_path: Path) -> None:
    """One is started on this machine, nothing is left of it, and each run has one thread."""
    study = long_study(tmp_path)
    process = driver(study, None)
    said = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 0, said
    assert_equal(study, local)
    assert all(open_run(study.path_of(point.name)).threads == 1 for point in study.points)


@pytest.mark.slow
@on_ray
def test_a_cluster_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    study = long_study(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(SystemExit) as caught:
        main(["study", "run", str(study.folder), "--on", "ray"])
    assert caught.value.code == 2
    assert "no cluster at 127.0.0.1:1" in capsys.readouterr().err

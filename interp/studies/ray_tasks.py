"""Ray as an executor of runs: one task a run, on this machine or on the cluster that RAY_ADDRESS names.

Where the study's folder is shared, workers write there, and a run that a dead worker began is gone on with. Elsewhere a run is
trained in a temporary folder of the worker's machine and sent home whole, and verified on arrival.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interp.config.run_config import RunConfig
from interp.errors import DataError, TrainingError, UsageError
from interp.observing.fingerprint import toolkit_digest
from interp.process import environment
from interp.store.parcel import pack_run, unpack_run
from interp.studies.study_plan import point_name
from interp.studies.worker import RUNS, Work

# Read when Ray starts here: no usage report, no token written into the home folder, workers as urgent as this process.
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
# One thread a run: Ray sets OMP_NUM_THREADS only, and numba would start threads for all cores.
_WORKER_ENVIRONMENT = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_TOLD = {"runtime_env": {"env_vars": _WORKER_ENVIRONMENT}}
_ATTEMPTS = 3  # at a run whose worker or machine died
_CONNECT_SECONDS = 10.0
_SAVING_SECONDS = 20.0  # that workers get to save what they train when the study is interrupted


@dataclass(frozen=True)
class RayTasks:
    """An `Executor`: Ray's tasks. Needs the extra ``ray``.

    Args:
        folder: of the study; made and marked, so that workers can tell whether they see it.
        workers: runs at a time on a Ray that is started here; one for every core by default. A cluster has its own number.

    Raises:
        UsageError: if Ray is not installed.
    """

    folder: Path
    workers: int | None = None

    def __post_init__(self) -> None:
        _ray()

    def __call__(self, runs: Mapping[int, RunConfig], job: Callable[[RunConfig], Any]) -> Iterator[tuple[int, Any]]:
        """Do the job for every config; yields (number, result or exception) as they finish."""
        if not isinstance(job, Work):
            raise UsageError(f"RayTasks: given the job {job!r}, expected that of a study")
        with _connected(self.workers) as (ray, told), _marked(self.folder) as mark:
            yield from _results(ray, told, runs, job, mark)


def _results(ray: Any, told: Mapping[str, Any], runs: Mapping[int, RunConfig], job: Work, mark: str) -> Iterator[tuple[int, Any]]:
    task = ray.remote(num_cpus=1, max_retries=0, **told)(_do)
    waiting, attempts = list(runs.items())[::-1], dict.fromkeys(runs, 0)
    under_way: dict[Any, int] = {}
    try:
        while waiting or under_way:
            slots = max(1, int(ray.cluster_resources().get("CPU", 0)))
            while waiting and len(under_way) < 2 * slots:  # one more than runs, for each core: none waits for its next
                number, config = waiting.pop()
                under_way[task.remote(job, config, mark, toolkit_digest())] = number
            ready, _ = ray.wait(list(under_way), timeout=1.0)
            for reference in ready:
                number = under_way.pop(reference)
                outcome = _fetched(ray, reference)
                attempts[number] += 1
                if isinstance(outcome, _Died) and attempts[number] < _ATTEMPTS:
                    waiting.append((number, runs[number]))
                    continue
                yield number, _home(outcome, job, runs[number])
    finally:
        for reference in under_way:
            with suppress(Exception):
                ray.cancel(reference, force=False)
        if under_way:
            with suppress(Exception):
                ray.wait(list(under_way), num_returns=len(under_way), timeout=_SAVING_SECONDS)


@dataclass(frozen=True)
class _Died:
    """A worker or its machine ended before the run did."""

    why: str


@dataclass(frozen=True)
class _Parcel:
    """A run that was trained where the study's folder is not."""

    state: str
    data: bytes


def _fetched(ray: Any, reference: Any) -> Any:
    """What a task returned, or the exception that it ended with."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        return cause if isinstance(cause, Exception) else TrainingError(f"{type(error).__name__}: {error}")
    except ray.exceptions.RayError as error:
        return _Died(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")


def _home(outcome: Any, job: Work, config: RunConfig) -> Any:
    """A result as the study takes it; a parcel is unpacked and verified."""
    if isinstance(outcome, _Died):
        return TrainingError(f"its worker died {_ATTEMPTS} times ({outcome.why})")
    if not isinstance(outcome, _Parcel):
        return outcome
    try:
        unpack_run(outcome.data, job.folder / RUNS / point_name(config))
    except DataError as error:
        return error
    return outcome.state


def _do(job: Work, config: RunConfig, mark: str, digest: str) -> Any:
    """What a worker does: the job in the study's folder if it is shared, or in a folder of its own."""
    import torch

    if digest != toolkit_digest():
        raise UsageError("the worker has another version of interp than the process that asks; install the same on every machine")
    torch.set_num_threads(1)
    result = job(config) if (job.folder / mark).is_file() else _away(job, config)
    if torch.get_num_threads() != 1:
        raise TrainingError(f"the run was trained with {torch.get_num_threads()} threads, expected 1: its bytes may differ")
    return result


def _away(job: Work, config: RunConfig) -> Any:
    """Train a run in a temporary folder, and pack it."""
    folder = Path(tempfile.mkdtemp(prefix="interp-study-"))
    try:
        state = replace(job, folder=folder)(config)
        return _Parcel(state, pack_run(folder / RUNS / point_name(config)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _marked(folder: Path) -> Iterator[str]:
    """A file with a name that only this process knows, by which workers can tell whether they see this folder."""
    mark = folder / f".seen-{secrets.token_hex(8)}"
    mark.touch()
    try:
        yield mark.name
    finally:
        mark.unlink(missing_ok=True)


@contextmanager
def _connected(workers: int | None) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Ray, connected to the cluster that RAY_ADDRESS names, or started on this machine; it is left as it was found.

    With it comes what each task must be told of its environment: nothing, where Ray was started with it. (Told, Ray starts other
    workers than those that it has ready, after an agent that makes environments: .8 of the 6 seconds that it takes in all.)

    Raises:
        UsageError: if the cluster is not there, or has no cores.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    ray, address = _ray(), os.environ.get("RAY_ADDRESS")
    if ray.is_initialized():
        yield ray, _TOLD
        return
    if address and workers is not None:
        raise UsageError(f"--workers: given {workers} with RAY_ADDRESS={address}; leave it out: the cluster has its own number")
    if address:
        _check_reachable(address)
    session = None if address else tempfile.mkdtemp(prefix="interp-ray-")
    try:
        with _handlers_kept():
            _start(ray, address, workers, session)
        try:
            if ray.cluster_resources().get("CPU", 0) < 1:
                raise UsageError(f"the Ray cluster at {address or 'this machine'} has no cores, so no run could ever start there")
            yield ray, _TOLD if address else {}
        finally:
            ray.shutdown()
    finally:
        if session is not None:  # Ray leaves its sessions behind
            shutil.rmtree(session, ignore_errors=True)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray answers SIGTERM in its own way, which ends this process before anything is saved: the handlers of before come back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_reachable(address: str) -> None:
    """Error unless something answers at HOST:PORT: Ray itself would try for minutes.

    Raises:
        UsageError: naming the address.
    """
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator:  # auto, local
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS):
            pass
    except (OSError, ValueError) as error:
        raise UsageError(f"Ray: no cluster at {address} ({error}); start one, or unset RAY_ADDRESS") from error


def _start(ray: Any, address: str | None, workers: int | None, session: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            with environment(_WORKER_ENVIRONMENT):  # its workers have it from the beginning
                ray.init(address="local", num_cpus=workers, include_dashboard=False, _temp_dir=session, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise UsageError(f"Ray: no cluster at {address or 'this machine'} ({first}); start one, or unset RAY_ADDRESS") from error


def _ray() -> Any:
    try:
        import ray  # type: ignore[import-not-found, unused-ignore]  # of an extra

        ray.is_initialized  # noqa: B018  a folder of that name, such as /tmp/ray, is imported as an empty package
    except (ImportError, AttributeError) as error:
        raise UsageError("--on ray: Ray is not installed; install the extra: pip install 'interp[ray]'") from error
    return ray

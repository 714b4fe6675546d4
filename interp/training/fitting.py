"""Whether a run fits into this machine, and if not, which number is too large and how large it may be: asked beforehand.

Nothing is allocated here, whatever the configuration says: `interp.training.demand` counts, `interp.machine` tells what there is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path
from typing import Any

import torch

from interp import machine
from interp.config.run_config import RunConfig
from interp.errors import TrainingError, UsageError
from interp.tasks.modular import ModularTask
from interp.training.choice import engine_name
from interp.training.cpu.cpu_engine import refusal
from interp.training.demand import Demand, demand, disk_bytes
from interp.wording import counted

log = logging.getLogger("interp")

# The longest time that a run may take unless it is insisted on, and from when on it is said beforehand.
LONGEST, WORTH_SAYING = 30 * 86400.0, 600.0
_INSIST = "insist with --force (in Python, force=True)"
# Fields that make a run large, with their least value; two others make it larger the smaller they are.
_GROWING = {
    "task.p": 2, "model.d_model": 1, "model.n_heads": 1, "model.d_mlp": 1, "model.n_layers": 1, "checkpoints.log": 0,
    "steps": 0, "threads": 1,
}  # fmt: skip
_SHRINKING = ("checkpoints.every", "evaluate_every")


@dataclass(frozen=True)
class Room:
    """What there is for a run: bytes of memory, of disk, of a device's memory; None where nothing tells.

    Attributes:
        memory: of this machine, for one of the runs that are computed at once.
        disk: for one of the runs that are kept.
        seconds: the longest time.
        on_device: of the CUDA device.
    """

    memory: float | None
    disk: float | None = None
    seconds: float | None = None
    on_device: float | None = None

    @classmethod
    def here(cls, root: Path | None = None, *, at_once: int = 1, kept: int = 1) -> Room:
        """What this machine has for each of some runs, of which so many are computed at once and so many kept.

        Args:
            root: where they are kept; None if they are not, and then no time is too long, as the caller may stop at any step.
        """
        memory, disk = machine.available_memory(), None if root is None else machine.free_disk(root)
        return cls(
            None if memory is None else memory / at_once, None if disk is None else disk / kept, None if root is None else LONGEST
        )

    def lacks(self, needed: Demand) -> str:
        """In words, what there is too little of, the scarcest first; empty if all fits."""
        found = [
            (needed.memory, self.memory, machine.in_bytes, "of memory, {} are free"),
            (needed.on_device, self.on_device, machine.in_bytes, "of the device's memory, {} are free"),
            (needed.disk, self.disk, machine.in_bytes, "on the disk, {} are free"),
            (needed.seconds, self.seconds, machine.in_time, "of training, more than {} are not begun unasked"),
        ]
        short = [
            (need / max(there, 1), f"{say(need)} {what.format(say(there))}")
            for need, there, say, what in found
            if there is not None and need > there
        ]
        return max(short)[1] if short else ""


def check_run(config: RunConfig, *, room: Room, force: bool = False) -> Demand:
    """What a run will take; said beforehand if that is long.

    Args:
        room: what there is.
        force: take it even if it is too much, with a warning.

    Raises:
        UsageError: if it is more than there is: with the number that is too large, what it takes, and the largest that fits.
    """
    engine = engine_name(config)
    needed = demand(config, engine)
    room = replace(room, on_device=_device_memory(config.device)) if needed.on_device else room
    if short := room.lacks(needed):
        problem = f"{_named(config, room)}: such a run takes, by estimate, {short}"
        if not force:
            raise UsageError(f"{problem}; {_largest(config, room)}{_INSIST}")
        log.warning("%s; begun all the same, as insisted", problem)
    elif needed.seconds >= WORTH_SAYING and room.seconds is not None:
        log.info(
            "by estimate at most %s of training (engine %s), %s of memory, %s on the disk",
            machine.in_time(needed.seconds), engine, machine.in_bytes(needed.memory), machine.in_bytes(needed.disk),
        )  # fmt: skip
    return needed


def check_runs(
    configs: Sequence[RunConfig],
    *,
    root: Path | None,
    at_once: int,
    disk: Callable[[RunConfig], float] = disk_bytes,
    force: bool = False,
) -> None:
    """The same for many runs, so many of which are computed at once; all are kept at the root, or none if there is none.

    Args:
        disk: what stays of each.

    Raises:
        UsageError: as `check_run`; where each run fits, but not all of them onto the disk, with what all of them take.
    """
    sizes = {replace(config, seed=0, recipe=""): config for config in configs}  # seeds change no size
    room = replace(Room.here(root, at_once=max(1, min(at_once, len(configs)))), seconds=LONGEST)
    for config in sizes.values():
        check_run(config, room=room, force=force)
    all_of_them = sum(disk(config) for config in configs)
    if room.disk is not None and all_of_them > room.disk and not force:
        raise UsageError(
            f"{counted(len(configs), 'run')} take, by estimate, {machine.in_bytes(all_of_them)} on the disk, "
            f"{machine.in_bytes(room.disk)} are free; make them fewer or smaller, or {_INSIST}"
        )


@contextmanager
def shortage_explained() -> Iterator[None]:
    """Inside the block, what the libraries raise where memory does not suffice becomes one error in words.

    Raises:
        TrainingError: in its place.
    """
    try:
        yield
    except (MemoryError, OverflowError) as error:
        raise TrainingError(f"the memory of this machine does not suffice ({error}); make the run smaller") from error
    except (RuntimeError, ValueError) as error:
        words = ("allocate", "overflow", "Maximum allowed")
        if isinstance(error, TrainingError | UsageError) or not any(word in str(error) for word in words):
            raise
        said = str(error).splitlines()[0][:200]
        raise TrainingError(f"the memory of this machine does not suffice ({said}); make the run smaller") from error


def _device_memory(device: str) -> float | None:
    """Free bytes of a CUDA device; None where there is none, as the engine will say."""
    return float(torch.cuda.mem_get_info(device)[0]) if torch.cuda.is_available() else None


def _named(config: RunConfig, room: Room) -> str:
    chosen = _to_blame(config, room)
    beyond = [name for name, times in _beyond_usual(config) if times > 1]
    names = [chosen[0]] if chosen is not None else beyond or ["model.d_mlp"]
    return ", ".join(f"{name}: given {_get(config, name):,}" for name in names)


def _largest(config: RunConfig, room: Room) -> str:
    """The value that fits of the field that is too large, in words."""
    chosen = _to_blame(config, room)
    other = ""
    if config.engine != "cpu" and engine_name(config) == "reference" and refusal(config) is None:
        cheap = replace(config, engine="cpu")
        other = "; with --engine cpu it fits" if _is_within(cheap, room) else ""
    if chosen is None:
        return f"no other value of one of them alone fits{other}; make the run smaller, or "
    name, fits = chosen
    return f"the {'least' if name in _SHRINKING else 'largest'} that fits is {fits:,}{other}; or "


def _to_blame(config: RunConfig, room: Room) -> tuple[str, int] | None:
    """The field that is furthest beyond its usual value and with another value of which the run fits, and that value."""
    fitting = ((name, _fits(config, name, room)) for name, _ in _beyond_usual(config))
    return next(((name, value) for name, value in fitting if value is not None), None)


def _beyond_usual(config: RunConfig) -> list[tuple[str, float]]:
    """The fields that make a run large, by how far they are beyond the usual value, the furthest first."""
    usual = RunConfig()
    names = [name for name in (*_GROWING, *_SHRINKING) if _get(config, name) and (name != "task.p" or _is_modular(config))]
    found = {name: _get(config, name) / max(1, _get(usual, name) or 1) for name in names}
    found |= {name: 1 / found[name] for name in _SHRINKING if name in found}
    return sorted(found.items(), key=lambda item: -item[1])


def _fits(config: RunConfig, name: str, room: Room) -> int | None:
    """The value of a field nearest to the given one with which a run fits, all else being equal; None if there is none."""
    given = _get(config, name)
    worse, better = given, (max(config.steps, given) if name in _SHRINKING else _GROWING[name])
    if not _is_within(_with(config, name, better), room):
        return None
    while abs(worse - better) > 1:
        middle = (worse + better) // 2
        if _is_within(_with(config, name, middle), room):
            better = middle
        else:
            worse = middle
    fitting = _with(config, name, better)
    return None if fitting is None else _get(fitting, name)


def _is_within(config: RunConfig | None, room: Room) -> bool:
    return config is not None and not room.lacks(demand(config, engine_name(config)))


def _with(config: RunConfig, name: str, value: int) -> RunConfig | None:
    """A configuration with another number; None if there is no such one."""
    room, _, field = name.rpartition(".")
    part: Any = getattr(config, room) if room else config
    changes: dict[str, Any] = {field: value}
    if name in ("model.d_model", "model.n_heads"):
        # The width is a multiple of the number of heads: of widths the next smaller one, of heads a power of two that divides it.
        model = config.model
        width = max(1, value // model.n_heads) * model.n_heads
        changes = {"d_model": width} if field == "d_model" else {"n_heads": gcd(model.d_model, 1 << (value.bit_length() - 1))}
    try:
        changed = replace(part, **changes)
        return changed if not room else replace(config, **{room: changed})
    except UsageError:
        return None


def _get(config: RunConfig, name: str) -> int:
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return int(value or 0)


def _is_modular(config: RunConfig) -> bool:
    return isinstance(config.task, ModularTask)

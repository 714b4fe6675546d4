"""What lies in a folder beside its models: a configuration, a training log, a list of pairs; all else is named as not read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from os.path import realpath
from pathlib import Path

from interp.errors import DataError, UsageError
from interp.interop.group_models import is_group_config
from interp.interop.logs.log_rows import LARGEST_JSON
from interp.interop.logs.training_log import BESIDE, TrainingLog, read_log
from interp.interop.stored_settings import stored_config

_CONFIG = re.compile(r".*(config|cfg|args|hparams|hyper_?param.*|settings|params)\.json", re.IGNORECASE)
_PAIRS = re.compile(r".*(indices|idx|pairs|split).*", re.IGNORECASE)
_SHOWN = 10


def config_in(beside: Sequence[Path]) -> tuple[dict[str, object], list[str]]:
    """The fields of the only configuration in a folder, by our names, with notes; empty if there is none, or several."""
    found = [path for path in beside if _CONFIG.fullmatch(path.name)]
    if len(found) != 1 or found[0].stat().st_size > LARGEST_JSON:
        return {}, []
    try:
        content = json.loads(found[0].read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return {}, [f"{found[0].name}, which lies in the folder, was not read as its configuration: {error}"]
    if not isinstance(content, dict) or is_group_config(content):  # the latter is read by what reads its models
        return {}, []
    fields, renamed = stored_config([{"config": content}])
    return fields, [f"{found[0].name}, which lies in the folder, was taken for its configuration", *renamed[:_SHOWN]]


def log_in(beside: Sequence[Path]) -> tuple[TrainingLog | None, list[str]]:
    """The only training log in a folder that can be read, with notes."""
    logs = []
    for path in filter(_may_be_log, beside):
        with suppress(DataError, UsageError):
            logs.append(read_log(path))
    if len(logs) > 1:
        shown = ", ".join(log.path.name for log in logs)
        return None, [f"several training logs lie in the folder ({shown}): none was read; choose one with --log"]
    return next(iter(logs), None), [f"{log.path.name}, which lies in the folder, was taken for its training log" for log in logs]


def unread(beside: Sequence[Path], read: Sequence[Path]) -> list[str]:
    """A note that names the other files of a folder; empty if all of them were read."""
    taken = {realpath(path) for path in read}  # which, unlike `Path.resolve`, also names a link that goes in a circle
    names = [
        f"{path.name} (give it with --split-file, if it lists pairs)" if _PAIRS.fullmatch(path.name) else path.name
        for path in beside
        if realpath(path) not in taken
    ]
    return [f"not read from the folder: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"] if names else []


def configs(beside: Sequence[Path]) -> list[Path]:
    """The files that `config_in` reads."""
    found = [path for path in beside if _CONFIG.fullmatch(path.name)]
    return found if len(found) == 1 else []


def _may_be_log(path: Path) -> bool:
    is_text = path.suffix.lower() in BESIDE or "tfevents" in path.name
    return is_text and not _CONFIG.fullmatch(path.name) and not _PAIRS.fullmatch(path.name)

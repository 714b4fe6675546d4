"""One run from a file, from a folder, or from a list of files, each with the model of one step."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from interp.errors import DataError, UsageError
from interp.interop.beside_models import config_in
from interp.interop.containers import limits
from interp.interop.containers.orbax_folder import orbax_item
from interp.interop.content import Content
from interp.interop.flat_states import alike
from interp.interop.known import Known
from interp.interop.step_names import (
    apart_in,
    differing_trainings,
    give_steps,
    natural,
    step_in_name,
    steps_in_names,
    template,
)
from interp.interop.stored_settings import joined
from interp.interop.taking_apart import take_apart
from interp.interop.untrusted import blaming, read_untrusted
from interp.store.manifest import MANIFEST

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".npz", ".npy", ".msgpack", ".flax", ".eqx", ".pkl", ".model", ".tar")

# One of the files over which a large model is spread: model-00002-of-00005.
_SHARD = re.compile(r"\d+-of-(\d+)$")
_SHOWN = 20  # files in a note
# What trainers write beside a model, and is none.
_NO_MODEL = re.compile(r"(optim(izer)?|scheduler|scaler|rng_state|training_args)([_-]?\d+)?\.[a-z]+", re.IGNORECASE)


@dataclass(frozen=True)
class Files:
    """What a run is read from.

    Attributes:
        given: what the caller named: a file, a folder, or the folder of the files in a list.
        files: the files (an orbax folder counts as one), in the natural order of their names.
        notes: what in a folder was left out.
        beside: the other files of a folder, which may be its configuration or its log.
        listed: the files in the order of the caller's list; empty for a file or a folder.
    """

    given: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    beside: tuple[Path, ...] = ()
    listed: tuple[Path, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of the files, with those of their folders where these tell them apart."""
        together = len({file.name for file in self.files}) == len(self.files)
        return [file.name if together else f"{file.parent.name}/{file.name}" for file in self.files]

    @property
    def order(self) -> tuple[Path, ...]:
        """The files in the order in which the caller gives their steps."""
        return self.listed or self.files

    @property
    def order_told(self) -> str:
        """That order in words."""
        return "in the order in which they are listed" if self.listed else "in the order of their names"

    @property
    def name(self) -> str:
        """A name for the run."""
        only = len(self.files) == 1
        return self.files[0].stem if only and not self.given.is_dir() else self.given.resolve().name

    @property
    def digest(self) -> str:
        """SHA-256 of the file; of several, that of their hashes."""
        hashes = [_hash(path) for file in self.files for path in _inside(file)]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def find_files(path: str | Path | Sequence[str | Path]) -> Files:
    """The files of a run: one, those in a folder, or those in a list.

    Raises:
        UsageError: if there are none.
        DataError: if a folder has several series.
    """
    if not isinstance(path, str | Path):
        listed = tuple(Path(file) for file in path)
        files = sorted({*listed}, key=lambda file: natural(str(file)))
        if not files:
            raise UsageError("given no files, expected at least one")
        return Files(files[0].parent, tuple(files), listed=listed) if len(files) > 1 else find_files(files[0])
    path = Path(path)
    if not path.is_dir() or orbax_item(path) is not None:
        return Files(path, (path,))
    return _in_folder(path)


def given_steps(source: Files, known: Known) -> tuple[list[int], list[str]]:
    """The caller's step of each file, in the order of `Files.files`, with a note of which file has which.

    They belong to the files in the order in which the caller lists these, and in a folder in that of their names.

    Raises:
        UsageError: if there is not one for each file, or if a file is listed twice.
    """
    order = source.order
    if twice := [str(file) for file, number in Counter(order).items() if number > 1]:
        raise UsageError(f"steps: given for a list with {', '.join(twice[:4])} twice, expected every file once")
    if len(known.steps) != len(order):
        raise UsageError(f"steps: given {len(known.steps)} for {len(order)} files, expected one for each, {source.order_told}")
    step_of = dict(zip(order, known.steps, strict=True))
    name_of = dict(zip(source.files, source.names, strict=True))
    told = ", ".join(f"{name_of[file]} -> {step}" for file, step in [*step_of.items()][:_SHOWN])
    return [step_of[file] for file in source.files], [f"steps: as given: {told}{', ...' if len(order) > _SHOWN else ''}"]


def gather(source: Files, known: Known) -> Content:
    """The content of a run's files as that of one: states by step, everything else from the last.

    Raises:
        DataError: if the files do not fit together, or it cannot be told which step each one has.
    """
    alone = len(source.files) == 1
    each = known if alone else replace(known, steps=())
    contents = []
    for file in source.files:
        with blaming(file):
            contents.append(take_apart(read_untrusted(file, known.leaf_names), each))
    content = _of_one(source, contents[0]) if alone else _of_several(source, contents, known)
    config, notes = config_in(source.beside)
    return replace(content, config=joined(content.config, config), notes=(*source.notes, *content.notes, *notes))


def _of_one(source: Files, content: Content) -> Content:
    file = source.files[0]
    if len(content.states) > 1 or content.states[0][0] is not None:
        return content
    step = step_in_name(_stem(file))
    if step is None and source.given.is_dir() and file.parent != source.given:
        step = step_in_name(file.parent.name)
    if step is None:
        return content
    note = f"step {step}: taken from the file's name, which is all that tells it"
    return replace(content, states=((step, content.states[0][1]),), notes=(*content.notes, note))


def _of_several(source: Files, contents: Sequence[Content], known: Known) -> Content:
    files = source.files
    if many := [file.name for file, content in zip(files, contents, strict=True) if len(content.states) > 1]:
        raise DataError(f"{many[0]} has a series of models of its own; import it alone")
    first = contents[0].states[0][1]
    for file, content in zip(files, contents, strict=True):
        if not all(alike([first, state]) for _, state in content.states):
            if part := _SHARD.search(file.stem):
                raise DataError(
                    f"{file}: one of {int(part[1])} files over which one model is spread, which are not read together; put their "
                    "tensors into one file first: safetensors.torch.save_file({**load_file(one), **load_file(other)}, ...)"
                )
            raise DataError(f"{file}: other tensors than in {files[0].name}, expected one model at several steps")
    steps, notes = given_steps(source, known) if known.steps else _steps(source, contents)
    states = [(step, content.states[0][1]) for step, content in zip(steps, contents, strict=True)]
    order = sorted(range(len(files)), key=lambda at: steps[at])
    for before, after in pairwise(order):
        if steps[before] == steps[after]:
            raise DataError(
                f"{files[after]}: step {steps[after]}, which {files[before].name} has as well; expected one file a step"
            )
    last = contents[order[-1]]
    return Content(
        states=tuple(states[at] for at in order),
        config=last.config,
        rest=last.rest,
        notes=(*dict.fromkeys(note for content in contents for note in content.notes), *notes, *_differences(contents)),
        precision=tuple(sorted({kind for content in contents for kind in content.precision})),
    )


def _steps(source: Files, contents: Sequence[Content]) -> tuple[list[int], list[str]]:
    """The step of each file: the one inside, or else the one in its name."""
    files = source.files
    inside = [content.states[0][0] for content in contents]
    told = [step for step in inside if step is not None]
    label_of = dict(zip(files, _labels(files), strict=True))
    # Errors ask for steps, which belong to the files in the caller's order.
    asked = [*dict.fromkeys(source.order)]
    names = [label_of[file] for file in asked]
    if apart := differing_trainings([file.parent.name for file in asked]):
        raise DataError(f"their folders differ in {apart}: import each by itself, or {give_steps(source.order_told)}")
    if len(told) == len(files) == len({*told}):
        if apart := differing_trainings(names):
            raise DataError(apart_in(apart, names, source.order_told))
        return told, []
    try:
        found = dict(zip(asked, steps_in_names(names, order=source.order_told), strict=True))
    except DataError as error:
        if len(told) == len(files):
            twice = next(step for step, number in Counter(told).items() if number > 1)
            raise DataError(f"{error}; inside, {Counter(told)[twice]} of the files say step {twice}") from error
        raise
    note = f"steps: taken from the names of the files, {label_of[files[0]]} to {label_of[files[-1]]}"
    return [found[file] for file in files], [note + (", because what they say inside is not one step for each" if told else "")]


def _differences(contents: Sequence[Content]) -> list[str]:
    fields = [
        {name: value for name, value in content.config.items() if "step" not in name and "epoch" not in name}
        for content in contents
    ]
    differing = sorted({name for config in fields for name in config if config.get(name) != fields[-1].get(name)})
    return (
        [f"the configurations of the files differ in {', '.join(differing[:10])}: the last one's was taken"] if differing else []
    )


def _in_folder(folder: Path) -> Files:
    if (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is a directory: a run is opened with interp.open_run")
    entries = []
    for number, path in enumerate(folder.iterdir()):
        limits.check("the folder", number + 1, limits.RECORDS, "files")
        if not path.name.startswith("."):
            entries.append(path)
    files = [path for path in entries if _may_hold_tensors(path)]
    beside = [path for path in entries if path.is_file() and path not in files]
    if files:
        return _of_one_series(folder, {path: path.name for path in files}, beside)
    found = {path: _models_in(path) for path in entries if path.is_dir()}
    inner = {path: models[0] for path, models in found.items() if len(models) == 1}
    series = sorted(path.name for path, models in found.items() if len(models) > 1)
    if not inner:
        raise UsageError(
            f"{folder} is a directory: a run is opened with interp.open_run, and no file of tensors "
            f"({', '.join(SUFFIXES[:8])} ...) is in it"
            + (f"; import each of the folders in it by itself: {', '.join(series[:6])}" if series else "")
        )
    last = max(inner, key=lambda path: natural(path.name))
    beside += sorted(path for path in last.iterdir() if path.is_file() and not path.name.startswith(".") and path != inner[last])
    files_in = _of_one_series(folder, {model: path.name for path, model in inner.items()}, beside)
    left = [f"not read from the folder: {', '.join(series[:10])}, with several models each"] if series else []
    return replace(files_in, notes=(*files_in.notes, *left))


def _models_in(folder: Path) -> list[Path]:
    """The files of a folder that may be models."""
    found = []
    for number, path in enumerate(folder.iterdir()):
        limits.check("the folder", number + 1, limits.RECORDS, "files")
        if path.is_file() and not path.name.startswith(".") and _may_hold_tensors(path):
            found.append(path)
    return found


def _of_one_series(folder: Path, names: Mapping[Path, str], beside: Sequence[Path]) -> Files:
    """The only series of numbered names, or every file if there is none; a note tells what was left out."""
    files = sorted(names, key=lambda path: natural(names[path]))
    series = Counter(template(names[path]) for path in files)
    large = [name for name, number in series.items() if number > 1]
    if len(large) > 1:
        raise DataError(f"{folder}: several series of files ({', '.join(sorted(large)[:6])}); give the files of one of them")
    chosen = [path for path in files if not large or template(names[path]) == large[0]]
    left = [names[path] for path in files if large and template(names[path]) != large[0]]
    notes = (f"not read from the folder: {', '.join(left[:10])}{', ...' if len(left) > 10 else ''}",) if left else ()
    return Files(folder, tuple(chosen), notes, tuple(sorted(beside)))


def _may_hold_tensors(path: Path) -> bool:
    if path.is_dir():
        return orbax_item(path) is not None
    if _NO_MODEL.fullmatch(path.name) or "tfevents" in path.name:
        return False
    return path.is_file() and (path.suffix.lower() in SUFFIXES or not path.suffix or path.suffix[1:].isdigit())


def _labels(files: Sequence[Path]) -> list[str]:
    """What names the step of each file: its own name, or that of its folder where all files are called alike."""
    alike = len(files) > 1 and len({file.name for file in files}) == 1
    return [file.parent.name if alike else _stem(file) for file in files]


def _stem(file: Path) -> str:
    return file.name if file.is_dir() else file.name.removesuffix(file.suffix) if file.suffix.lower() in SUFFIXES else file.name


def _inside(file: Path) -> Iterator[Path]:
    yield from (sorted(path for path in file.rglob("*") if path.is_file()) if file.is_dir() else [file])


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

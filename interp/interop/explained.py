"""What was read from a file, guessed and ignored, and the options that would change it: `interp import --explain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from interp.interop.guess import Guess
from interp.interop.imported import Imported
from interp.interop.known import Known
from interp.interop.load import load_run
from interp.interop.recognising import Format
from interp.interop.working import Performance
from interp.tasks.splits import SplitConfig
from interp.wording import checkpoints

_NOTHING = Known()
_SPLIT = {"split": SplitConfig("python", 0, 0.3)}


@dataclass(frozen=True, eq=False)
class Explanation:
    """What was made of a file; as text, one fact a line.

    Attributes:
        file: its name.
        format: as which it was read, and `why`.
        why: the reason.
        tensors: their name -> our name and axes.
        ignored: their names of what was not read, with shapes.
        steps: of the checkpoints; that of one whose step nothing tells, which is 0 then, is not said.
        config: the configuration that was found.
        task: what the model learned.
        split: in words.
        losses: number of published training and test losses.
        performance: loss and accuracy of the last model.
        guesses: what was guessed, with the options that would change it.
        notes: everything else that is said of an imported run.
    """

    file: str
    format: str
    why: str
    tensors: Mapping[str, str]
    ignored: Mapping[str, str]
    steps: tuple[int, ...]
    config: Mapping[str, object]
    task: str
    split: str
    losses: tuple[int, int]
    performance: Performance
    guesses: tuple[Guess, ...]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it, one fact a line."""
        return "\n".join(self._lines())

    def __str__(self) -> str:
        return self.text

    def _lines(self) -> Iterator[str]:
        yield f"{self.file}: format {self.format}, because {self.why}"
        yield f"checkpoints: {checkpoints(self.steps, known=self.performance.step is not None)}"
        yield f"task: {self.task}"
        yield f"split: {self.split}"
        yield f"losses: {self.losses[0]} of training, {self.losses[1]} of test"
        yield f"{self.performance.of}: {self.performance}"
        yield from _block("read", [f"{theirs} -> {ours}" for theirs, ours in self.tensors.items()])
        yield from _block("ignored", [f"{name}: {shape}" for name, shape in self.ignored.items()])
        yield from _block("configuration found", [f"{name}: {value}" for name, value in self.config.items()])
        yield from _block("guessed", [str(guess) for guess in self.guesses if guess.what != "tensors"])
        yield from _block("notes", [*self.notes])
        yield from (f"to state what every tensor is: {str(guess).rpartition(': ')[2]}" for guess in self._named())

    def _named(self) -> list[Guess]:
        return [guess for guess in self.guesses if guess.what == "tensors" and guess.change]


def explain(path: str | Path | Sequence[Path], format: Format = "auto", *, known: Known = _NOTHING) -> Explanation:
    """What `import_run` would make of a file, and why; nothing is written.

    Arguments and errors are those of `load_weights`.

    Raises:
        UsageError: for a file or format that does not exist, or a fact without which the tensors cannot be read.
        DataError: for a file that is damaged, crafted, or of an architecture that cannot be held.

    >>> import tempfile
    >>> from interp.interop.export import export_weights
    >>> from interp.networks.initial import initial_weights
    >>> from interp.config.run_config import RunConfig
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export_weights(initial_weights(RunConfig()), f"{folder}/first.safetensors", step=0)
    ...     print(explain(path).text.splitlines()[0])
    first.safetensors: format safetensors, because it is one of this toolkit's checkpoints
    """
    imported = load_run(path, format, known=known)
    account = imported.account
    told = set(account.notes())
    return Explanation(
        file=str(imported.provenance.get("file", path)),
        format=imported.format,
        why=account.why,
        tensors=account.tensors,
        ignored=account.ignored,
        steps=tuple(step for step, _ in imported.checkpoints),
        config=account.config,
        task=imported.task.name,
        split=_split(imported),
        losses=(len(imported.train_losses), len(imported.test_losses)),
        performance=account.performance,
        guesses=(*account.guesses, *_split_guess(imported)),
        notes=tuple(note for note in imported.notes if note not in told or note in account.warnings),
    )


def _split(imported: Imported) -> str:
    if imported.split is None:
        return "not known"
    rule, sizes = imported.config.split, f"{len(imported.split.train):,} train pairs, {len(imported.split.test):,} test pairs"
    return f"{rule.rule}:{rule.seed}:{rule.fraction:g}, {sizes}"


def _split_guess(imported: Imported) -> list[Guess]:
    if imported.split is not None:
        return []
    return [Guess("split", "not known", "an imported run needs it", _SPLIT)]


def _block(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"{title}:"
        yield from (f"  {line}" for line in lines)

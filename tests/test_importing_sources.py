"""What becomes of files in the forms of public sources, and the page that says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from public_sources import BEGIN, END, PAGE, SOURCES, Source, became, table

from interp.errors import UsageError
from interp.interop import import_run, load_run
from interp.tasks.splits import SplitConfig


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_source_comes_in_and_works_or_is_refused_in_one_sentence(source: Source, tmp_path: Path) -> None:
    torch.manual_seed(0)
    format, refused, has_split = became(source, tmp_path)
    assert bool(format) == bool(source.comes_in), refused
    if format:
        path = next(path for path in tmp_path.iterdir() if path.suffix in (".pt", ".pth", ".safetensors", ".ckpt"))
        assert load_run(path, known=source.known).account.performance.accuracy == 1
        if has_split:
            import_run(path, tmp_path / "runs", known=source.known)
        else:
            with pytest.raises(UsageError, match="train and test pairs are not known, and a run needs them"):
                import_run(path, tmp_path / "runs", known=source.known)
            import_run(path, tmp_path / "runs", known=replace(source.known, split=SplitConfig()))
    else:
        assert "--map" not in refused
        assert "what can be held" in refused or "diff_vocab: given True" in refused


def test_the_page_has_the_table_that_is_made_here(tmp_path: Path) -> None:
    written = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert written == table(tmp_path), "run: python tests/public_sources.py"

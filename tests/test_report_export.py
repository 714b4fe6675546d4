"""What can be taken away from the page: every figure as a picture, every series as a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from growing import STEPS
from playwright.sync_api import Browser
from visiting import Visit, visit

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def seen(browser: Browser, report_file: Path) -> Iterator[Visit]:
    found = visit(browser, report_file)
    yield found
    assert found.said == []
    found.page.context.close()


@pytest.mark.parametrize(("kind", "head"), [("png", b"\x89PNG"), ("svg", b"<svg")])
def test_figures_can_be_taken_away_as_pictures(seen: Visit, kind: str, head: bytes) -> None:
    for name in ("neuron_frequencies", "loss_curves"):
        with seen.page.expect_download() as download:
            seen.page.click(f"#panel-{name} [data-tool={kind}]")
        data = Path(download.value.path()).read_bytes()
        assert data.startswith(head)
        assert len(data) > 5000
        assert download.value.suggested_filename == f"{name}-step{STEPS[-1]}.{kind}"

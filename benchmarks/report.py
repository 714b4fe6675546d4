"""How large and how fast a report is, in a real headless Chromium: size, first figure, slider steps, memory.

    python benchmarks/report.py RUN_OR_PAGE ... [--rounds 5] [--steps 12] [--json FILE]

A run's report is written first, to a temporary file. Every figure is scrolled to the middle of the window in turn, and the slider
is moved there; a step's time runs from the event until every plot that can be seen shows the new checkpoint and has been painted.
Times are medians over rounds, each in a new window; the machine's load is reported, because the numbers depend on it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

# Runs before the page's own script: notes when the first figure is there, at the frame that shows it.
WATCH = """
addEventListener("DOMContentLoaded", () => {
    const look = () => {
        const there = document.querySelector(".plot .main-svg .trace, .plot .main-svg .hm");
        if (there) requestAnimationFrame(() => { window.firstFigure = performance.now(); });
        else requestAnimationFrame(look);
    };
    look();
});
"""

# Moves the slider to other checkpoints and waits each time for all that can be seen. Returns milliseconds.
STEP = """async (wanted) => {
    const slider = document.getElementById("slider");
    const inside = (e) => { const box = e.getBoundingClientRect(); return box.bottom > 0 && box.top < innerHeight; };
    const painted = () => new Promise((done) => requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = done;
        channel.port2.postMessage(0);
    }));
    const times = [];
    for (const index of wanted) {
        const begun = performance.now();
        slider.value = index;
        slider.dispatchEvent(new Event("input"));
        const seen = [...document.querySelectorAll(".graph")].filter(inside);
        do await painted();
        while (seen.some((graph) => graph.dataset.step !== slider.value));
        times.push(performance.now() - begun);
        await new Promise((done) => setTimeout(done, 30));
    }
    return times;
}"""


def main() -> None:
    """Measure what the command line names and print one line for each."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("what", nargs="+", type=Path, help="directories of runs, or report files")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--steps", type=int, default=12, help="slider steps at each figure")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        pages = {str(what): written(what, Path(folder)) for what in given.what}
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = play.chromium.launch(executable_path=executable, args=["--no-sandbox", "--enable-precise-memory-info"])
        rows = {name: measured(browser, path, rounds=given.rounds, steps=given.steps) for name, path in pages.items()}
        browser.close()
    for name, row in rows.items():
        print(f"{name}: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in row.items()))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")


def written(what: Path, folder: Path) -> Path:
    """The report file itself, or that of a run."""
    if what.is_file():
        return what
    import interp

    path = folder / f"{what.name}.html"
    begun = time.perf_counter()
    interp.report(what, path)
    print(f"{what}: report written in {time.perf_counter() - begun:.1f} s (less where measures are cached)", file=sys.stderr)
    return path


def measured(browser: Browser, path: Path, *, rounds: int, steps: int) -> dict[str, object]:
    """Medians over rounds; slider steps of all figures and rounds together, and of the slowest figure."""
    first, ready, heap, resident = [], [], [], []
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.add_init_script(WATCH)
        page.goto(path.resolve().as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        first.append(page.evaluate("window.firstFigure"))
        ready.append(page.evaluate("performance.now()"))
        for name, found in slid(page, steps).items():
            times.setdefault(name, []).extend(found)
        used, kept = memory(browser, page)
        heap.append(used)
        resident.append(kept)
        checkpoints = page.evaluate("Number(document.getElementById('slider').max) + 1")
        context.close()
    every = [t for found in times.values() for t in found]
    slowest = max(times, key=lambda name: statistics.median(times[name]))
    return {
        "size_MB": round(path.stat().st_size / 1e6, 2),
        "checkpoints": checkpoints,
        "first_figure_s": round(statistics.median(first) / 1e3, 2),
        "all_ready_s": round(statistics.median(ready) / 1e3, 2),
        "slider_step_median_ms": round(statistics.median(every), 1),
        "slider_step_p95_ms": round(statistics.quantiles(every, n=20)[-1], 1),
        "slowest_figure": slowest,
        "slowest_figure_median_ms": round(statistics.median(times[slowest]), 1),
        "js_heap_MB": round(statistics.median(heap)),
        "renderer_MB": round(statistics.median(resident)),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def slid(page: Page, steps: int) -> dict[str, list[float]]:
    """Times of slider steps with each figure in the middle of the window."""
    last = page.evaluate("Number(document.getElementById('slider').max)")
    wanted = [round(last * (i + 1) / (steps + 2)) for i in range(steps)]
    found = {}
    for section in page.locator(".panel:has(.plot)").all():
        section.locator(".plot").evaluate("e => e.scrollIntoView({ block: 'center' })")
        page.wait_for_timeout(400)
        found[section.get_attribute("id").removeprefix("panel-")] = page.evaluate(STEP, wanted)
    return found


def memory(browser: Browser, page: Page) -> tuple[float, float]:
    """Megabytes of JavaScript objects, and of the largest process that draws pages (its proportional share of memory)."""
    heap = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    sizes = []
    for process in processes:
        rollup = Path(f"/proc/{process['id']}/smaps_rollup")
        if process["type"] == "renderer" and rollup.exists():
            sizes.append(next(int(line.split()[1]) / 1e3 for line in rollup.read_text().splitlines() if line.startswith("Pss:")))
    return heap, max(sizes, default=0.0)


if __name__ == "__main__":
    main()

// The page of one run as what is shown live: it follows the newest checkpoint, or stays at the step that was chosen.

class LiveRun {
  constructor(page) {
    this.page = page;
    this.roots = ["header.hero", "main"];
    const { type } = performance.getEntriesByType("navigation")[0] || {};
    if (type === "reload" && remembered() === "newest") page.goTo(page.steps.length - 1);
  }

  get version() {
    return this.page.source.live;
  }

  read(text) {
    return JSON.parse(text);
  }

  fits() {
    return true; // what does not is seen in the text
  }

  heard() {
    remember(this.page.index === this.page.steps.length - 1 ? "newest" : "");
  }

  // The page with other data: everything is drawn anew, at the same step or, if the newest was shown, at the newest.
  async take(source, buffer) {
    const { page } = this;
    const [step, atEnd] = [page.steps[page.index], page.index === page.steps.length - 1];
    cancelAnimationFrame(page.frame);
    clearTimeout(page.later);
    Object.assign(page, {
      source, steps: source.steps, bands: source.bands, readout: source.readout, lastStep: source.last_step,
      firstStep: source.steps.find((one) => one > 0) || 1, blocks: new Blocks(source.blocks, buffer), listeners: {},
    });
    page.tables = new Tables(source.tables, page.blocks, page.steps);
    page.index = atEnd ? page.steps.length - 1 : nearest(page.steps, step);
    if (atEnd && location.hash.includes("step=")) history.replaceState(null, "", location.pathname);
    this.renewTransport();
    page.panels = page.panels.map((old) => successor(old, page));
    for (const panel of [...page.panels].sort((a, b) => b.visible - a.visible)) {
      try {
        await panel.draw(page.index);
      } catch (error) {
        report(panel.element.querySelector(".cells"), error);
      }
      panel.element.style.minHeight = "";
    }
    page.showTables();
  }

  renewTransport() {
    const { page } = this;
    const { transport } = page;
    transport.slider.max = page.steps.length - 1;
    transport.fill();
    transport.sketch();
    transport.show(page.index);
  }
}

// The same panel with the page's new data, and with what was chosen in the old one.
function successor(old, page) {
  const { element, visible, logY, hidden, neuron } = old;
  const box = element.querySelector(".cells");
  element.style.minHeight = `${element.offsetHeight}px`; // nothing jumps while it is empty
  for (const cell of old.cells) Plotly.purge(cell.graph);
  box.replaceChildren();
  element.querySelector(".legend")?.replaceChildren();
  const panel = page.panel(element);
  Object.assign(panel, { visible, logY });
  for (const item of element.querySelectorAll(".legend .item")) {
    if (!hidden.has(item.textContent)) continue;
    item.setAttribute("aria-pressed", "false");
    panel.hidden.add(item.textContent);
    for (const cell of panel.cells) {
      for (const trace of cell.data) if ((trace.legendgroup || trace.name) === item.textContent) trace.visible = false;
    }
  }
  if (neuron !== undefined) panel.choose(neuron);
  return panel;
}

// Whether this tab followed the newest checkpoint, over a reload.
function remembered() {
  try { return sessionStorage.getItem("interp.place"); } catch { return null; }
}

function remember(place) {
  try { sessionStorage.setItem("interp.place", place); } catch { /* not allowed to: a reload then keeps the step */ }
}

begun.then(() => { if (shown) new Live(new LiveRun(shown)).follow(); });

// A page that is served while its run is trained: it asks what is new, and takes it in without losing its place.

const ASK = 1000; // milliseconds between two questions
// What the page draws by itself, and what belongs to the reader: left alone when the text around it is renewed.
const OWN = ".cells, .legend, .numbers .scroll";
const CHOICES = ["open", "hidden", "style", "aria-pressed"];

class Live {
  constructor(page) {
    this.page = page;
    this.viewer = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.failures = 0;
    this.bar = Object.assign(document.createElement("div"), { className: "live" });
    this.line = document.createElement("p");
    this.note = document.createElement("p");
    this.note.setAttribute("role", "status"); // read aloud when it changes; the line changes all the time
    this.bar.append(this.line, this.note);
    document.querySelector(".skip").after(this.bar);
    const { type } = performance.getEntriesByType("navigation")[0] || {};
    if (type === "reload" && remembered() === "newest") page.goTo(page.steps.length - 1);
  }

  async follow() {
    let state = null;
    try {
      const response = await fetch(`state?viewer=${this.viewer}&version=${this.page.source.live}`, { cache: "no-store" });
      if (!response.ok) throw new Error(response.statusText);
      state = await response.json();
      this.failures = 0;
    } catch {
      this.failures += 1;
    }
    if (this.failures > 3) {
      this.say("ended", "No longer connected: the process that served this page has ended. What it shows stays as long as the tab is open.");
      return;
    }
    if (state && await this.heard(state)) return;
    setTimeout(() => this.follow(), ASK);
  }

  // What the server says; true once there is nothing more to come.
  async heard(state) {
    remember(this.page.index === this.page.steps.length - 1 ? "newest" : "");
    this.line.textContent = state.line;
    const isNew = state.version !== this.page.source.live;
    if (isNew && (!document.hidden || state.ended)) {
      try {
        await this.update();
      } catch (error) {
        this.say("trouble", `What is new could not be shown: ${error.message || error}`);
        return false;
      }
    }
    if (state.ended && state.version === this.page.source.live) {
      // Once more, so that the server knows that this page has everything.
      await fetch(`state?viewer=${this.viewer}&version=${state.version}`, { cache: "no-store" }).catch(() => null);
      this.say("ended", "This page is complete and is no longer updated; it can be read as long as the tab is open.");
      return true;
    }
    this.say(state.trouble ? "trouble" : "live", state.trouble || "");
    return false;
  }

  say(kind, text) {
    this.bar.dataset.state = kind;
    if (this.note.textContent !== text) this.note.textContent = text;
  }

  async update() {
    const response = await fetch("update", { cache: "no-store" });
    const then = new DOMParser().parseFromString(await response.text(), "text/html");
    const text = (id) => then.getElementById(id).textContent;
    const source = JSON.parse(text("page"));
    const buffer = await inflate(text("blocks"));
    // Where a panel came or went the page begins anew, which happens once or twice at most.
    if (!["header.hero", "main"].every((root) => renew(document.querySelector(root), then.querySelector(root)))) {
      location.reload();
      return new Promise(() => {});
    }
    document.title = then.title;
    await this.take(source, buffer);
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

// Bring the text of one tree to that of another, touching nothing that is the same already; false if figures stand in the way.
function renew(now, then) {
  if (now.matches(OWN)) return true;
  for (const { name, value } of then.attributes) {
    if (!CHOICES.includes(name) && now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  const [ours, theirs] = [[...now.children], [...then.children]];
  const alike = ours.length === theirs.length && ours.every((child, i) => child.tagName === theirs[i].tagName && child.id === theirs[i].id);
  const mixed = [...then.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (alike && ours.length && !mixed) return ours.every((child, i) => renew(child, theirs[i]));
  if (now.innerHTML === then.innerHTML) return true;
  if (now.querySelector(".plot") || then.querySelector(".plot")) return false;
  now.replaceChildren(...Array.from(then.childNodes, (node) => document.importNode(node, true)));
  return true;
}

// Whether this tab followed the newest checkpoint, over a reload.
function remembered() {
  try { return sessionStorage.getItem("interp.place"); } catch { return null; }
}

function remember(place) {
  try { sessionStorage.setItem("interp.place", place); } catch { /* not allowed to: a reload then keeps the step */ }
}

begun.then(() => { if (shown) new Live(shown).follow(); });

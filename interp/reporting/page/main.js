// The page: one index (which checkpoint is shown) that everything follows. Nothing plays unless it is asked to.

class Page {
  constructor(source, buffer) {
    this.source = source;
    this.steps = source.steps;
    this.bands = source.bands;
    this.templates = source.templates;
    this.readout = source.readout;
    this.blocks = new Blocks(source.blocks, buffer);
    this.lastStep = source.last_step;
    this.firstStep = this.steps.find((step) => step > 0) || 1;
    this.logSteps = false;
    this.theme = "light";
    this.window = null; // the part of the step axes that is shown, where one was chosen
    this.index = this.fromFragment() ?? (source.opening === null ? this.steps.length - 1 : nearest(this.steps, source.opening));
    this.tables = new Tables(source.tables, this.blocks, this.steps);
    this.panels = [];
    this.listeners = {};
  }

  // Of a file that does not say after how many updates it was saved, the number of its checkpoint is no step.
  stepInWords(step) {
    return this.source.knows_step ? step.toLocaleString("en-US") : "unknown";
  }

  async start() {
    this.chooseTheme(stored("theme") || "auto");
    this.transport = new Transport(this);
    this.panels = Array.from(document.querySelectorAll(".plot"), (element) => this.panel(element));
    this.connect();
    this.transport.show(this.index);
    for (const panel of this.panels) {
      if (panel.folded) continue;
      try {
        await panel.draw(this.index);
      } catch (error) {
        report(panel.element.querySelector(".cells"), error);
      }
      await new Promise((resolve) => setTimeout(resolve)); // let the page answer between two figures
    }
    this.showTables();
    document.documentElement.dataset.ready = "true";
  }

  panel(element) {
    const source = this.source.panels[element.dataset.panel];
    return source.kind === "explorer" ? new Explorer(element, source, this) : new Panel(element, source, this);
  }

  // Something was chosen by a click (which neuron); panels say with `on` that they want to know.
  select(what, which) {
    (this.listeners[what] || []).forEach((listener) => listener(which));
  }

  on(what, listener) {
    (this.listeners[what] = this.listeners[what] || []).push(listener);
  }

  connect() {
    const watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const panel = this.panels.find(({ element }) => element === target);
        panel.visible = isIntersecting;
        if (isIntersecting && panel.shown >= 0 && panel.shown !== this.index) panel.show(this.index);
      }
    });
    for (const { element } of this.panels) watcher.observe(element);
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if (window.innerWidth === width) return; // the address bar of a phone comes and goes
      width = window.innerWidth;
      clearTimeout(this.resizing);
      this.resizing = setTimeout(() => this.redraw(), 120);
    });
    window.addEventListener("hashchange", () => {
      const index = this.fromFragment();
      if (index !== null) this.goTo(index);
    });
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("click", (event) => this.click(event));
    document.addEventListener("toggle", ({ target }) => {
      this.showTables();
      if (target.matches("details.fold[open]")) this.unfold(target);
    }, true);
    this.follows = new IntersectionObserver(() => this.here(), { rootMargin: "-60px 0px -60% 0px" });
    for (const section of document.querySelectorAll("main > section")) this.follows.observe(section);
    document.getElementById("stepscale").addEventListener("click", ({ currentTarget }) => {
      this.logSteps = !this.logSteps;
      currentTarget.setAttribute("aria-pressed", this.logSteps);
      this.window = null;
      this.transport.sketch();
      this.redraw();
    });
    document.getElementById("theme").addEventListener("click", () => {
      const order = ["auto", "light", "dark"];
      this.chooseTheme(order[(order.indexOf(this.themeChoice) + 1) % 3]);
      this.redraw();
    });
    DARK.addEventListener("change", () => { this.chooseTheme(this.themeChoice); this.redraw(); });
    window.addEventListener("beforeprint", () => this.forPrint(true));
    window.addEventListener("afterprint", () => this.forPrint(false));
  }

  // Of all step axes, show the part between two steps; all of it without any.
  chooseSteps(ends) {
    if (this.choosing) return; // what is drawn for it says so again
    const [low, high] = ends ? [Math.max(0, Math.min(...ends)), Math.min(this.lastStep, Math.max(...ends))] : [0, this.lastStep];
    const chosen = ends && high - low >= 1 && (low > 0 || high < this.lastStep) ? [low, high] : null;
    this.window = chosen;
    clearTimeout(this.choosing);
    this.choosing = setTimeout(async () => {
      await this.redraw();
      this.choosing = null;
    });
  }

  async unfold(details) {
    const panel = this.panels.find(({ element }) => details.contains(element));
    if (panel) await panel.draw(this.index);
  }

  // Which section is being read: said in the contents.
  here() {
    const reading = [...document.querySelectorAll("main > section")].findLast((one) => one.getBoundingClientRect().top < 120);
    document.getElementById("here").textContent = reading?.querySelector("h2")?.textContent || "";
    for (const link of document.querySelectorAll(".contents a")) {
      if (link.getAttribute("href") === `#${reading?.id}`) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  // Show a checkpoint. What can be seen follows at once, everything else when there is time.
  goTo(index) {
    index = Math.min(Math.max(index, 0), this.steps.length - 1);
    if (index === this.index) return;
    this.index = index;
    this.transport.show(index);
    cancelAnimationFrame(this.frame);
    clearTimeout(this.later);
    this.frame = requestAnimationFrame(() => this.follow());
  }

  // Cells that can be seen follow, those that waited longest first, for a part of this frame; the rest in the next ones.
  follow() {
    const begun = performance.now();
    const seen = this.cells(({ visible }) => visible);
    for (const cell of seen) cell.placeCursors(this.index);
    const behind = seen.filter((cell) => cell.latest !== this.index).sort((a, b) => a.drawn - b.drawn);
    let done = 0;
    while (done < behind.length && (done === 0 || performance.now() - begun < PATIENCE)) behind[done++].sketch(this.index);
    if (done < behind.length) this.frame = requestAnimationFrame(() => this.follow());
    else this.later = setTimeout(() => this.settle(), 150);
  }

  // The slider rests: remember the step, and bring everything up to date, one cell at a time, what is seen first.
  settle() {
    history.replaceState(null, "", `#step=${this.steps[this.index]}`);
    this.showTables();
    const work = () => {
      const late = (cell) => cell.shown !== this.index || cell.sketched >= 0;
      const cell = this.cells(({ visible }) => visible).find(late) || this.cells(() => true).find(late);
      if (!cell) return;
      cell.show(this.index);
      this.later = setTimeout(work, 5);
    };
    work();
  }

  // Cells that are drawn, of the panels that fulfil a condition.
  cells(condition) {
    return this.panels.filter(condition).flatMap((panel) => panel.cells).filter(({ shown }) => shown >= 0);
  }

  // What the run is in the middle of, or what it has reached last.
  phaseAt(step) {
    const band = this.bands.find(([, from, to]) => step >= from && step < to);
    if (band) return band[0];
    const reached = this.source.milestones.filter((milestone) => milestone.step <= step);
    return reached.length ? reached[reached.length - 1].label.toLowerCase() : "";
  }

  async redraw() {
    this.transport.show(this.index);
    const seenFirst = [...this.panels].sort((a, b) => b.visible - a.visible);
    for (const panel of seenFirst) if (panel.shown >= 0 || !panel.folded) await panel.draw(this.index);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.id === "slider") {
      if (event.key !== " ") return; // it has its own keys
    } else if (event.target.closest("input, textarea, select, summary, .scroll")) return;
    const last = this.steps.length - 1;
    const wanted = { ArrowLeft: this.index - 1, ArrowRight: this.index + 1, Home: 0, End: last }[event.key];
    if (wanted !== undefined) {
      event.preventDefault();
      this.transport.choose(wanted);
    } else if (event.key === " " && !event.target.closest("button, a, [tabindex='0']")) {
      event.preventDefault();
      this.transport.play(!this.transport.playing);
    }
  }

  click(event) {
    const skip = event.target.closest(".skip");
    if (skip) {
      event.preventDefault(); // the address keeps the step
      const target = document.getElementById(skip.getAttribute("href").slice(1));
      target.focus({ preventScroll: true });
      if (target.id === "panels") target.scrollIntoView(); // the slider is always seen
    }
    const inner = event.target.closest('a[href^="#formula-"], a[href^="#panel-"]');
    if (inner) {
      event.preventDefault(); // the address keeps the step
      const target = document.getElementById(inner.getAttribute("href").slice(1));
      const contents = inner.closest(".contents details");
      if (contents) contents.open = false;
      const fold = inner.closest(".contents, .verdicts") && target.querySelector("details.fold");
      if (fold) fold.open = true;
      target.scrollIntoView();
      target.focus({ preventScroll: true });
    }
    const link = event.target.closest("a[data-step]");
    if (link) {
      event.preventDefault();
      this.transport.choose(nearest(this.steps, Number(link.dataset.step)));
    }
    const button = event.target.closest("button[data-tool]");
    if (button) this.tool(button, button.closest(".panel"));
  }

  tool(button, section) {
    const panel = this.panels.find(({ element }) => section.contains(element));
    const name = section.id.replace("panel-", "");
    const kind = button.dataset.tool;
    if (kind === "csv" || kind === "parquet") {
      const table = button.dataset.table;
      const content = kind === "csv" ? this.tables.csv(table) : this.tables.parquet(table, this.source.notes);
      download(content, `${this.source.run}-${table}.${kind}`, kind === "csv" ? "text/csv" : "application/vnd.apache.parquet");
    } else if (kind === "drawn") {
      download(panel.drawn(), `${this.source.run}-${name}-step${this.steps[this.index]}.csv`, "text/csv");
    } else if (kind === "log") {
      panel.logY = !panel.logY;
      button.setAttribute("aria-pressed", panel.logY);
      panel.draw(this.index);
    } else {
      panel.save(kind, section.querySelector("h2").textContent || name);
    }
  }

  showTables() {
    for (const details of document.querySelectorAll(".numbers[open]")) {
      details.querySelector(".scroll").replaceChildren(this.tables.at(details.dataset.table, this.index));
    }
  }

  fromFragment() {
    const match = /step=(\d+)/.exec(location.hash);
    return match ? nearest(this.steps, Number(match[1])) : null;
  }

  chooseTheme(choice) {
    this.themeChoice = choice;
    this.theme = choice === "auto" ? (DARK.matches ? "dark" : "light") : choice;
    document.documentElement.dataset.theme = this.theme;
    document.getElementById("theme").textContent = choice;
    document.getElementById("theme").setAttribute("aria-label", `Theme: ${choice}`);
    store("theme", choice);
  }

  // On paper: light, as wide as the paper, with the step where figures are of one, and with all that is otherwise told on demand.
  forPrint(printing) {
    this.paper = printing ? PAPER : null;
    if (printing) {
      document.documentElement.dataset.theme = this.theme = "light";
      for (const panel of this.panels) panel.element.querySelector(".at").textContent = panel.at(this.steps[this.index]);
      this.opened = [...document.querySelectorAll("details:not([open], .numbers)")];
      for (const details of this.opened) details.open = true;
    } else {
      for (const details of this.opened || []) details.open = false;
      this.chooseTheme(this.themeChoice);
    }
    this.redraw();
  }
}

// Pixels across a figure that is printed at four fifths (see page.css) on A4 or letter paper.
const PAPER = 850;
// Milliseconds of drawing after which a frame is handed back to the browser.
const PATIENCE = 24;

let shown = null; // the page, once there is one

const begun = openPage(async (buffer) => {
  shown = new Page(JSON.parse(textOf("page")), buffer);
  await shown.start();
});

// The page of a study: one set of choices (axes, held values, first crossing or for good, cell, run) that every figure follows.

class Study {
  constructor(source, buffer) {
    this.load(source, buffer);
    this.theme = "light";
    const many = this.axes.map((axis, i) => [axis.texts.length, i]).sort((a, b) => b[0] - a[0]).map(([, i]) => i);
    [this.x, this.y] = this.axes.length > 1 ? [Math.min(many[0], many[1]), Math.max(many[0], many[1])] : [this.axes.length - 1, -1];
    this.held = this.axes.map(() => 0);
    Object.assign(this, { mark: "", asked: "grokked", by: Math.max(0, this.x), along: source.laws.axes[0] ?? 0, timeAsked: "grokked", lawAsked: "grokked", multiple: 0, colour: this.x >= 0 && this.axes[this.x].texts.length <= MOST_WORDS ? this.x : -1 });
    Object.assign(this, { factX: this.axes.length ? this.fieldOf(this.x) : "seed", factY: "grokked", logX: this.axes[this.x]?.is_log ?? false, logY: false, filter: "", status: "", onlyCell: false, sort: { by: null, down: false }, rowsShown: AT_FIRST });
    this.cell = source.cells.find((cell) => cell.rows.some((row) => this.column("grokked").values[row] !== null)) || source.cells[0];
    this.cell = this.cellAt(Math.max(0, this.rows[this.cell.rows[0]][this.x] ?? 0), Math.max(0, this.cell.place[this.y] ?? 0)) || this.shown[0];
    this.run = this.cell.rows[0];
    this.choices = new Choices(this);
  }

  // Take in the page's data, at first or anew.
  load(source, buffer) {
    this.source = source;
    this.axes = source.axes;
    this.templates = source.templates;
    this.colours = source.colours;
    this.blocks = new Blocks(source.blocks, buffer);
    this.rows = [];
    for (const cell of source.cells) for (const row of cell.rows) this.rows[row] = cell.place;
    this.cells = new Map(source.cells.map((cell) => [cell.place.join(), cell]));
    this.curves = source.curves.map((kind) => ({ ...kind, ends: this.blocks.values(kind.ends), steps: this.blocks.values(kind.steps), values: this.blocks.values(kind.values) }));
    this.ranges = this.curves.map((kind) => rangeOfCurves(kind));
  }

  async start() {
    this.chooseTheme(stored("theme") || "auto");
    this.connect();
    this.choices.draw();
    await this.draw();
    document.documentElement.dataset.ready = "true";
  }

  // ---- What is there ----

  column(name) {
    return this.source.columns.find((column) => column.name === name);
  }

  fieldOf(axis) {
    return this.axes[axis].name.split("+")[0];
  }

  positions(axis) {
    return axis < 0 ? [0] : this.axes[axis].texts.map((_, i) => i);
  }

  // The cell at positions across and up, with the other axes where they are held.
  cellAt(i, j) {
    const place = [...this.held];
    if (this.x >= 0) place[this.x] = i;
    if (this.y >= 0) place[this.y] = j;
    return this.cells.get(place.join());
  }

  // All cells of the map.
  get shown() {
    return this.positions(this.x).flatMap((i) => this.positions(this.y).map((j) => this.cellAt(i, j))).filter(Boolean);
  }

  get question() {
    const { questions } = this.source;
    return questions.find(({ name }) => name === this.asked + this.mark) || questions.find(({ name }) => name === this.asked);
  }

  get time() {
    return this.timeAsked + this.mark;
  }

  get lawTime() {
    return this.lawAsked + this.mark;
  }

  get ink() {
    return this.templates[this.theme].layout.font.color;
  }

  // What is looked at, as a text: a part that was enlarged stays so until something else is.
  get view() {
    const { x, y, held, mark, asked, by, along, timeAsked, lawAsked, factX, factY, logX, logY, cell } = this;
    return JSON.stringify([x, y, held, mark, asked, by, along, timeAsked, lawAsked, factX, factY, logX, logY, cell.place]);
  }

  // The name of a finding along an axis, with the others where they are held (see study_findings.py).
  key(time, axis) {
    return `${time}|${axis}|${this.held.filter((_, i) => i !== axis).join(",")}`;
  }

  curve(kind, row) {
    const [from, to] = [row ? kind.ends[row - 1] : 0, kind.ends[row]];
    return { steps: kind.steps.subarray(from, to), values: kind.values.subarray(from, to) };
  }

  // Where a fact of a run is drawn: as it is, or, of a time that was not seen, at the last step, which it is beyond; null: not at all.
  drawn(column, row) {
    const value = column.values[row];
    if (value !== null) return { value, beyond: false };
    const last = this.column("last_step").values[row];
    if (column.kind !== "time" || last === null || this.column("status").values[row] !== "finished") return null;
    const begun = this.source.begins[column.name];
    if (!begun) return { value: last, beyond: true };
    const since = this.column(begun).values[row];
    return since === null ? null : { value: last - since, beyond: true };
  }

  // ---- In words ----

  answer(cell, question = this.question) {
    const [value, low, high, n, events, ...quartiles] = cell.answers[this.source.questions.indexOf(question)];
    return { value, low, high, n, events, quartiles, few: n < this.source.few };
  }

  commonOutcome(cell) {
    const found = Object.entries(cell.outcomes).sort((a, b) => b[1] - a[1]);
    if (!found.length) return null;
    return found.length > 1 && found[0][1] === found[1][1] ? "mixed" : found[0][0];
  }

  number(value) {
    if (this.question.kind === "share") return `${Math.round(100 * value)} %`;
    return this.question.kind === "time" ? Math.round(value).toLocaleString("en-US") : shortly(value);
  }

  short(cell) {
    const found = this.answer(cell);
    if (!found.n) return "–";
    if (this.question.kind === "outcome") return this.commonOutcome(cell);
    return found.value === null ? "not reached" : this.number(found.value);
  }

  span({ value, low, high }) {
    if (value === null && low === null) return "";
    if (low === null) return high === null ? "not bounded" : `up to ${this.number(high)}`;
    return `${this.number(low)} to ${high === null ? "beyond" : this.number(high)}`;
  }

  placeInWords(cell) {
    return this.axes.length ? this.axes.map((axis, i) => `${axis.label} ${axis.texts[cell.place[i]]}`).join(", ") : "all runs";
  }

  // By which steps a quarter and three quarters of a cell's runs had got there.
  quartiles({ quartiles }) {
    const said = ([value, low, high]) => (value === null ? "not reached" : `${this.number(value)} (${this.span({ value, low, high })})`);
    return quartiles.length ? `\nA quarter: ${said(quartiles[0])}; three quarters: ${said(quartiles[1])}.` : "";
  }

  told(cell) {
    const found = this.answer(cell);
    const start = `${this.placeInWords(cell)}\n${this.question.title}: `;
    if (!found.n) return `${start}no finished run`;
    const few = found.few ? ` From ${found.n} ${found.n === 1 ? "run" : "runs"}, fewer than ${this.source.few}.` : ` From ${found.n} runs.`;
    if (this.question.kind === "outcome") return `${start}${Object.entries(cell.outcomes).map(([name, count]) => `${count} ${name}`).join(", ")}.${few}`;
    const events = found.events === null ? "" : `, seen in ${found.events} of ${found.n}`;
    const range = this.question.kind === "number" ? " (least to greatest)" : " (95 %)";
    return `${start}${this.short(cell)}${this.span(found) ? `, ${this.span(found)}${range}` : ""}${events}.${few}${this.quartiles(found)}`;
  }

  nameOf(row) {
    return `seed ${this.column("seed").values[row]} at ${this.axes.length ? this.placeInWords({ place: this.rows[row] }) : "all runs"}`;
  }

  // ---- Choices ----

  // Something was chosen: draw anew, and keep the place of the keyboard.
  async changed(change, control) {
    const { pick } = control.dataset;
    const where = control.closest("[id]").id;
    change();
    if (!this.shown.includes(this.cell)) this.cell = this.shown[0] || this.cell;
    if (!this.cell.rows.includes(this.run)) [this.run] = this.cell.rows;
    this.choices.draw();
    document.querySelector(`#${where} [data-pick="${pick}"]`)?.focus();
    await this.draw();
  }

  choose(cell) {
    this.cell = cell;
    [this.run] = cell.rows;
    for (const id of ["phase-map", "multiples"]) {
      for (const button of document.querySelectorAll(`#${id} .place`)) button.setAttribute("aria-pressed", "false");
    }
    const index = this.shown.indexOf(cell);
    if (index >= 0) this.pressed();
    return this.drawCell();
  }

  // Mark the chosen cell in both maps without drawing them anew: the keyboard stays where it is.
  pressed() {
    for (const id of ["phase-map", "multiples"]) {
      const lines = [...document.querySelectorAll(`#${id} tr`)].filter((line) => line.querySelector(".place")).reverse();
      lines.forEach((line, j) => line.querySelectorAll(".place").forEach((button, i) => { if (this.cellAt(i, j)) button.setAttribute("aria-pressed", this.cellAt(i, j) === this.cell); }));
    }
  }

  chooseRun(row) {
    const place = this.rows[row];
    this.cell = this.cells.get(place.join());
    this.run = row;
    if (place.some((at, i) => i !== this.x && i !== this.y && at !== this.held[i])) {
      place.forEach((at, i) => { this.held[i] = at; });
      this.choices.draw();
      return this.draw();
    }
    this.pressed();
    return this.drawCell();
  }

  // ---- Drawing ----

  async draw() {
    drawPhase(this);
    await drawPoints(this);
    await this.drawCell();
    await drawSurvival(this);
    await drawLaw(this);
    await drawTold(this);
    await drawFacts(this);
    drawMultiples(this);
  }

  async drawCell() {
    this.tellCell();
    drawRows(this);
    await drawCurves(this);
  }

  tellCell() {
    const { cell } = this;
    const state = this.column("status").values;
    const finished = cell.rows.filter((row) => state[row] === "finished").length;
    const few = finished < this.source.few ? `, fewer than ${this.source.few}` : "";
    document.getElementById("cell-said").textContent = `${this.placeInWords(cell)}: ${cell.rows.length} ${cell.rows.length === 1 ? "run" : "runs"}, ${finished} finished${few}.`;
    document.getElementById("cell-runs").replaceChildren(...cell.rows.map((row) => {
      const button = make("button", { type: "button" }, `seed ${this.column("seed").values[row]}${state[row] === "finished" ? "" : ` (${state[row]})`}`);
      button.setAttribute("aria-pressed", row === this.run);
      button.addEventListener("click", () => {
        this.chooseRun(row);
        [...document.querySelectorAll("#cell-runs button")][cell.rows.indexOf(row)]?.focus();
      });
      return button;
    }));
    const facts = this.source.columns.filter(({ values, kind }) => values[this.run] !== null || kind === "time").map((column) => {
      const drawn = this.drawn(column, this.run);
      const text = drawn?.beyond ? `more than ${drawn.value.toLocaleString("en-US")}` : textIn(column, this.run);
      return make("div", {}, make("dt", {}, said(column.name)), make("dd", {}, text));
    });
    document.getElementById("run-name").textContent = `The chosen run: ${this.nameOf(this.run)}`;
    document.getElementById("run-command").textContent = this.source.command.replaceAll("RUN", this.column("run").values[this.run]);
    document.getElementById("run-facts").replaceChildren(...facts);
  }

  // ---- The rest ----

  connect() {
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if (window.innerWidth === width) return;
      width = window.innerWidth;
      clearTimeout(this.resizing);
      this.resizing = setTimeout(() => this.redraw(), 120);
    });
    document.getElementById("theme").addEventListener("click", () => {
      const order = ["auto", "light", "dark"];
      this.chooseTheme(order[(order.indexOf(this.themeChoice) + 1) % 3]);
      this.redraw();
    });
    DARK.addEventListener("change", () => { this.chooseTheme(this.themeChoice); this.redraw(); });
    document.getElementById("more-runs").addEventListener("click", () => { this.rowsShown += AT_FIRST; drawRows(this); });
    document.addEventListener("click", (event) => this.click(event));
    document.addEventListener("keydown", ({ key }) => { if (key === "Escape") hideTip(); });
  }

  click(event) {
    const button = event.target.closest("button[data-tool]");
    if (!button) return;
    const section = button.closest(".panel");
    const { tool } = button.dataset;
    if (tool === "csv" || tool === "parquet") downloadRows(this, tool);
    else this.save(section, tool);
  }

  save(section, format) {
    const { data, layout: drawn } = section.querySelector(".figure[aria-label]") || (section.id === "panel-phase" ? mapPicture(this) : {});
    if (!data) return;
    const paper = this.templates[this.theme].layout.paper_bgcolor;
    const layout = { ...drawn, paper_bgcolor: paper };
    const filename = `${this.source.study}-${section.id.replace("panel-", "")}`;
    Plotly.downloadImage({ data, layout, config: CONFIG }, { format, filename, width: layout.width, height: layout.height, scale: format === "png" ? 2 : 1 });
  }

  redraw() {
    this.redrawing = this.draw();
    return this.redrawing;
  }

  chooseTheme(choice) {
    this.themeChoice = choice;
    this.theme = choice === "auto" ? (DARK.matches ? "dark" : "light") : choice;
    document.documentElement.dataset.theme = this.theme;
    document.getElementById("theme").textContent = choice;
    document.getElementById("theme").setAttribute("aria-label", `Theme: ${choice}`);
    store("theme", choice);
  }
}

// The last step of all curves of a kind, and the least and greatest value, as drawn.
function rangeOfCurves({ steps, values, top }) {
  let [lastStep, low, high] = [1, top ? 0 : Infinity, top || -Infinity];
  for (const step of steps) if (step > lastStep) lastStep = step;
  if (!top) {
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return { lastStep, low, high };
}

async function readStudy(text) {
  return JSON.parse(new TextDecoder().decode(await inflate(text)));
}

let shown = null; // the page, once there is one

const begun = openPage(async (buffer) => {
  shown = new Study(await readStudy(textOf("page")), buffer);
  await shown.start();
});

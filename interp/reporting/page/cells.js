// Cells: a figure is drawn as one plotly graph per cell, so that a step redraws what moves and nothing else.

const CONFIG = { displayModeBar: false, showSendToCloud: false, plotlyServerURL: "", responsive: false, scrollZoom: false };
const MARGIN = { l: 58, r: 14, t: 24, b: 46 };
const BARE = { l: 2, r: 2, t: 24, b: 8 };
const STRIP = 15; // for the names of the phases
const INSET = 8; // of a title, on both sides together
const GAP = 12; // between cells, in pixels; margins come on top
const NARROWEST = { square: 128, plot: 300 };
const PEN = document.createElement("canvas").getContext("2d");
const DRAGGED = 4; // pixels after which a press is no click
const COARSE = window.matchMedia("(pointer: coarse)");

class Cell {
  // `parts`: data and layout of this cell alone, moves that are for it, names of its step axes and logarithmic axes.
  constructor(parts, panel) {
    Object.assign(this, parts);
    this.panel = panel;
    this.page = panel.page;
    this.own = { shapes: this.layout.shapes || [], annotations: this.layout.annotations || [] };
    this.element = document.createElement("div");
    this.element.className = "cell";
    this.graph = this.element.appendChild(Object.assign(document.createElement("div"), { className: "graph" }));
    this.cursors = this.stepAxes.map(() => this.element.appendChild(Object.assign(document.createElement("div"), { className: "cursor" })));
    if (this.moves.length) this.graph.dataset.moves = this.moves.length;
    this.graph.addEventListener("pointerdown", ({ clientX }) => { this.pressed = clientX; }, true);
    this.graph.addEventListener("click", (event) => this.clicked(event));
    this.drawn = 0; // when it was drawn last
    this.swift = null; // made when the slider first moves it
    this.sketched = -1; // index of the checkpoint on its canvas; -1 if there is none
    this.shown = -1; // index of the checkpoint drawn; -1 before the first drawing
  }

  // Draw everything anew: first drawing, another size, theme or scale.
  async draw(index) {
    const { page, layout } = this;
    if (this.moving) this.move(index);
    layout.template = page.templates[page.theme];
    layout.dragmode = COARSE.matches ? false : "zoom";
    layout.showlegend = this.whole ? layout.showlegend : false;
    if (!this.whole) layout.hovermode = this.stepAxes.length && !this.isMap("x") ? "x unified" : "closest";
    layout.uirevision = `${page.logSteps} ${this.panel.logY} ${page.window || ""}`;
    for (const name of this.stepAxes) scaleSteps(axisOf(layout, name), page);
    for (const name of this.logAxes) scaleValues(axisOf(layout, name), this.panel.logY);
    layout.shapes = [...this.own.shapes, ...this.stepAxes.flatMap((name) => this.bands(name))];
    this.annotate();
    layout.datarevision = this.revised(index);
    this.shown = index;
    this.graph.dataset.step = index;
    await Plotly.react(this.graph, this.data, layout, CONFIG);
    this.uncover();
    if (!this.listening) this.listen();
    this.placeCursors(this.shown);
  }

  // Another number each time: plotly takes data of the same revision for what it has drawn.
  revised(index) {
    this.revision = (this.revision || 0) + 1;
    return `${index} ${this.revision}`;
  }

  // A click on a point of a trace that selects something tells the panels that show it; a part of a step axis is chosen for all.
  listen() {
    this.listening = true;
    if (this.stepAxes.length && !this.whole) this.graph.on("plotly_relayout", (change) => this.chosen(change));
    if (!this.data.some((trace) => trace.meta && trace.meta.selects)) return;
    this.graph.on("plotly_click", ({ points }) => {
      const { meta } = points[0].data;
      if (meta && meta.selects) this.page.select(meta.selects, points[0].customdata);
    });
  }

  chosen(change) {
    const { page } = this;
    const ends = change["xaxis.range"] || [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (change["xaxis.autorange"]) page.chooseSteps(null);
    else if (ends.every(Number.isFinite)) page.chooseSteps(page.logSteps ? ends.map((end) => 10 ** end) : ends);
  }

  // Show another checkpoint: only what moves is redrawn.
  show(index) {
    this.placeCursors(index);
    if (index === this.shown && this.sketched < 0) return;
    const sketched = this.sketched >= 0;
    this.shown = index;
    this.graph.dataset.step = index;
    if (this.moving && (this.move(index) !== false || sketched)) {
      this.annotate();
      this.layout.datarevision = this.revised(index);
      this.drawn = performance.now();
      Plotly.react(this.graph, this.data, this.layout, CONFIG);
    }
    this.uncover();
  }

  // Show another checkpoint while the slider moves: on the canvas if possible, otherwise as always.
  sketch(index) {
    if (!this.moving || !Swift.can(this)) return this.show(index);
    if (index === this.latest) return;
    this.move(index);
    this.placeCursors(index);
    this.sketched = index;
    this.graph.dataset.step = index;
    this.swift = this.swift || new Swift(this);
    this.swift.draw();
    this.retitle();
  }

  annotate() {
    const titled = (item) => ({ ...item, yshift: (item.yshift || 0) + (this.strip || 0), font: { ...item.font, size: this.titleSize(item.text) } });
    this.layout.annotations = [...this.own.annotations.map((item) => (isTitle(item) && !this.whole ? titled(item) : { ...item })), ...(this.named ? bandNames(this, this.page) : [])];
  }

  // A title that is too long for its plot is written smaller.
  titleSize(text) {
    const { width, margin } = this.layout;
    return Math.max(8, Math.min(12, (12 * (width - margin.l - INSET)) / widthOf(text.replace(/<[^>]*>/g, ""), this.page)));
  }

  // While the canvas is in front, titles that belong to the checkpoint are changed where plotly has put them.
  retitle() {
    for (const { path } of this.moves) {
      const [, n] = /^annotations\.(\d+)\.text$/.exec(path) || [];
      const text = n && this.graph.querySelector(`.annotation[data-index="${n}"] .annotation-text`);
      if (text?.lastChild) text.lastChild.textContent = this.own.annotations[n].text.replace(/^<b>.*?<\/b>/, "");
    }
  }

  uncover() {
    this.sketched = -1;
    if (this.swift) this.swift.show(false);
  }

  // Index of the checkpoint that is seen.
  get latest() {
    return this.sketched < 0 ? this.shown : this.sketched;
  }

  // Put the data of a checkpoint into the traces; false if they are the same as before.
  move(index) {
    return this.panel.move(this, index);
  }

  // Draw the same checkpoint again, because something else was chosen.
  refresh(index) {
    this.shown = -1;
    this.show(index);
  }

  get moving() {
    return this.panel.moving && (this.moves.length > 0 || this.panel.moves.length === 0);
  }

  // Behind a plot, bands; above a map, which hides what lies behind it, strips.
  bands(name) {
    const { page } = this;
    const map = this.isMap(name);
    const [y0, y1] = map ? [1.01, 1.035] : [0, 1];
    return page.bands.map(([, from, to, colour]) => ({
      type: "rect", layer: "below", line: { width: 0 }, fillcolor: colour, opacity: map ? 0.6 : page.theme === "dark" ? 0.13 : 0.1,
      xref: name, x0: page.logSteps ? Math.max(from, page.firstStep) : from, x1: page.logSteps ? Math.max(to, page.firstStep) : to, yref: `y${name.slice(1)} domain`, y0, y1,
    }));
  }

  isMap(name) {
    return this.data.some((trace) => trace.type === "heatmap" && (trace.xaxis || "x") === name);
  }

  axes(name) {
    const full = this.graph._fullLayout;
    const [x, y] = full ? [full[name.replace("x", "xaxis")], full[name.replace("x", "yaxis")]] : [];
    return x && y && x._length ? { x, y } : null;
  }

  placeCursors(index) {
    const step = this.page.steps[index];
    this.stepAxes.forEach((name, i) => {
      const axes = this.axes(name);
      if (!axes) return;
      const { x, y } = axes;
      const at = x.d2p(step); // step 0 has no place on a logarithmic axis: its left end
      const inside = Number.isFinite(at) ? Math.min(Math.max(at, 0), x._length) : 0;
      const isOut = this.page.window && (step < this.page.window[0] || step > this.page.window[1]);
      Object.assign(this.cursors[i].style, { visibility: isOut ? "hidden" : "", left: `${x._offset + inside}px`, top: `${y._offset}px`, height: `${y._length}px` });
    });
  }

  // A click inside a time axis goes to the nearest checkpoint; elsewhere it does nothing.
  clicked(event) {
    if (event.detail === 1) this.before = null;
    const box = this.graph.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    for (const axes of this.stepAxes.map((name) => this.axes(name)).filter(Boolean)) {
      const { x, y } = axes;
      if (px < x._offset || px > x._offset + x._length || py < y._offset || py > y._offset + y._length) continue;
      // A drag takes a part of the axis, and a double click gives all of it back: its first click has chosen nothing then.
      if (Math.abs(event.clientX - (this.pressed ?? event.clientX)) > DRAGGED) return;
      const { page } = this;
      if (event.detail > 1) return page.transport.choose(this.before ?? page.index);
      this.before = page.index;
      page.transport.choose(nearest(page.steps, x.p2d(px - x._offset)));
      return;
    }
  }
}

// The parts of a figure, one for each cell of its grid; a figure without a grid is one cell with everything in it.
function splitCells(data, layout, moves) {
  const meta = layout.meta || {};
  const [steps, logs] = [[].concat(meta.step_axis || []), [].concat(meta.log_axis || [])];
  if (!meta.grid) return [{ data, layout: { ...layout }, moves, stepAxes: steps, logAxes: logs, named: true, whole: true, n: 1 }];
  const numbers = meta.grid.flatMap((row) => row.cells.map((cell) => cell.n));
  const parts = numbers.map((n) => cutCell(n, data, layout, moves, { steps, logs }));
  for (const part of parts) part.named = part.stepAxes.length > 0 && !part.data.some((trace) => trace.type === "heatmap");
  return parts;
}

function cutCell(n, data, layout, moves, { steps, logs }) {
  const suffix = n === 1 ? "" : String(n);
  const [x, y] = [`x${suffix}`, `y${suffix}`];
  const places = data.map((trace, i) => i).filter((i) => (data[i].xaxis || "x") === x);
  const place = new Map(places.map((old, i) => [old, i]));
  const { domain: xd, anchor: xa, scaleanchor: xs, ...xaxis } = layout[`xaxis${suffix}`] || {};
  const { domain: yd, anchor: ya, scaleanchor: ys, ...yaxis } = layout[`yaxis${suffix}`] || {};
  const notes = layout.annotations || [];
  const here = (item) => String(item.xref || "").split(" ")[0] === x || String(item.yref || "").split(" ")[0] === y;
  const moved = (item) => ({ ...item, xref: renamed(item.xref), yref: renamed(item.yref) });
  return {
    n,
    data: places.map((i) => ({ ...data[i], xaxis: "x", yaxis: "y" })),
    layout: {
      xaxis: { ...xaxis }, yaxis: { ...yaxis }, autosize: false, barmode: layout.barmode, bargap: layout.bargap,
      annotations: notes.filter(here).map(moved), shapes: (layout.shapes || []).filter(here).map(moved),
    },
    moves: [
      ...moves.filter((move) => place.has(move.place)).map((move) => ({ ...move, place: place.get(move.place) })),
      ...moves.filter((move) => move.place === "layout").flatMap((move) => {
        const [, number, rest] = /^annotations\.(\d+)\.(.*)$/.exec(move.path) || [];
        const own = notes.filter(here).indexOf(notes[number]);
        return own < 0 ? [] : [{ ...move, path: `annotations.${own}.${rest}` }];
      }),
    ],
    stepAxes: steps.includes(x) ? ["x"] : [],
    logAxes: logs.includes(y) ? ["y"] : [],
    bare: xaxis.showticklabels === false,
  };
}

// Pixels of a text in a title's usual size and weight.
function widthOf(text, page) {
  PEN.font = `bold 12px ${page.templates[page.theme].layout.font.family}`;
  return PEN.measureText(text).width;
}

function isTitle(item) {
  return /^<b>/.test(item.text) && item.yanchor === "bottom" && /domain$/.test(item.yref);
}

function renamed(reference) {
  return reference === undefined ? reference : String(reference).replace(/^([xy])\d+/, "$1");
}

function applyMoves(moves, panel, index, target) {
  const { page, steps } = panel;
  const frame = Math.max(0, steps.findLastIndex((known) => known <= page.steps[index]));
  for (const { place, path, block, values, index: chosen } of moves) {
    setPath(target(place, path), path, block !== undefined ? page.blocks.at(block, frame) : page.blocks.resolve(values[chosen[frame]]));
  }
}

function setPath(target, path, value) {
  const names = path.split(".");
  const last = names.pop();
  for (const name of names) target = target[name] = Array.isArray(target[name]) ? [...target[name]] : { ...target[name] };
  target[last] = value;
}

function nearest(steps, wanted) {
  let best = 0;
  steps.forEach((step, i) => { if (Math.abs(step - wanted) < Math.abs(steps[best] - wanted)) best = i; });
  return best;
}

// Panels: one plotly figure each. A panel knows how to show a step; whether it is worth drawing now is decided in main.js.

const CONFIG = { displayModeBar: false, showSendToCloud: false, plotlyServerURL: "", responsive: false, scrollZoom: false };
const COARSE = window.matchMedia("(pointer: coarse)");

class Panel {
  constructor(element, source, page) {
    this.element = element;
    this.page = page;
    this.steps = source.steps;
    this.moves = source.moves;
    this.data = page.blocks.resolve(source.data);
    this.layout = page.blocks.resolve(source.layout);
    this.meta = this.layout.meta || {};
    this.stepAxes = [].concat(this.meta.step_axis || []);
    this.own = { shapes: this.layout.shapes || [], annotations: this.layout.annotations || [], meta: this.meta };
    this.logY = true;
    this.shown = -1; // index of the step drawn; -1 before the first drawing
    this.visible = false;
    this.cursors = this.stepAxes.map(() => Object.assign(document.createElement("div"), { className: "cursor" }));
    element.addEventListener("click", (event) => this.clicked(event));
  }

  get moving() {
    return this.moves.length > 0;
  }

  // Draw everything anew: first drawing, another width, theme or scale.
  async draw(index) {
    this.prepare(index);
    await Plotly.react(this.element, this.data, this.layout, CONFIG);
    for (const cursor of this.cursors) this.element.append(cursor);
    this.shown = index;
    this.placeCursors(index);
  }

  // Show another step: only what moves is redrawn.
  show(index) {
    this.placeCursors(index);
    if (index === this.shown) return;
    this.shown = index;
    if (!this.moving) return;
    this.move(index);
    this.layout.datarevision = index;
    Plotly.react(this.element, this.data, this.layout, CONFIG);
  }

  move(index) {
    const step = this.page.steps[index];
    let frame = this.steps.findLastIndex((known) => known <= step);
    if (frame < 0) frame = 0;
    for (const { place, path, block, values, index: chosen } of this.moves) {
      const value = block !== undefined ? this.page.blocks.at(block, frame) : this.page.blocks.resolve(values[chosen[frame]]);
      setPath(place === "layout" ? this.layout : this.data[place], path, value);
    }
  }

  prepare(index) {
    const { page, layout } = this;
    if (this.moving) this.move(index);
    layout.template = page.templates[page.theme];
    layout.dragmode = COARSE.matches ? false : "zoom";
    layout.uirevision = `${page.logSteps} ${this.logY}`;
    arrange(layout, this.data, Math.max(280, Math.floor(this.element.clientWidth)));
    for (const name of this.stepAxes) this.scaleSteps(this.axis(name));
    for (const name of [].concat(this.meta.log_axis || [])) this.axis(name).type = this.logY ? "log" : "linear";
    layout.shapes = [...this.own.shapes, ...this.stepAxes.flatMap((name) => this.bands(name))];
    layout.annotations = [...this.own.annotations.map((item) => ({ ...item })), ...this.bandNames()];
    layout.datarevision = index;
  }

  axis(name) {
    const key = name.replace(/^([xy])/, "$1axis");
    this.layout[key] = this.layout[key] || {};
    return this.layout[key];
  }

  scaleSteps(axis) {
    const { page } = this;
    axis.type = page.logSteps ? "log" : "linear";
    axis.autorange = false;
    axis.range = page.logSteps ? [Math.log10(page.firstStep), Math.log10(page.lastStep)] : [0, page.lastStep];
    axis.tickformat = page.logSteps ? "~s" : ",d";
    axis.dtick = page.logSteps ? 1 : undefined;
    axis.nticks = page.logSteps ? undefined : 6;
  }

  // Behind a plot, bands; above a map, which hides what lies behind it, strips.
  bands(name) {
    const { page } = this;
    const [y0, y1] = this.isMap(name) ? [1.01, 1.035] : [0, 1];
    return page.bands.map(([label, from, to, colour]) => ({
      type: "rect", layer: "below", line: { width: 0 }, fillcolor: colour, opacity: this.isMap(name) ? 0.6 : page.theme === "dark" ? 0.13 : 0.1, xref: name,
      x0: page.logSteps ? Math.max(from, page.firstStep) : from, x1: to, yref: `y${name.slice(1)} domain`, y0, y1,
    }));
  }

  isMap(name) {
    return this.data.some((trace) => trace.type === "heatmap" && (trace.xaxis || "x") === name);
  }

  // Names of the phases inside the first time axis, where they fit.
  bandNames() {
    const name = this.stepAxes.find((known) => !this.isMap(known));
    if (!name) return [];
    const { page } = this;
    const axis = this.axis(name);
    const domain = axis.domain || [0, 1];
    const margin = this.layout.margin || { l: 80, r: 80 };
    const width = (this.layout.width - margin.l - margin.r) * (domain[1] - domain[0]);
    const at = (step) => (page.logSteps ? Math.log10(Math.max(step, page.firstStep)) : step);
    const span = axis.range[1] - axis.range[0];
    return page.bands
      .filter(([label, from, to]) => ((at(to) - at(from)) / span) * width > 6.4 * label.length)
      .map(([label, from, to]) => ({
        text: label, x: (at(from) + at(to)) / 2, xref: name, y: 1, yref: `y${name.slice(1)} domain`, yanchor: "top", showarrow: false,
        font: { size: 10, color: page.theme === "dark" ? "#98a1ab" : "#5c646c" }, name: "phase",
        bgcolor: page.theme === "dark" ? "rgba(21,25,30,.6)" : "rgba(251,251,249,.6)", borderpad: 1,
      }));
  }

  placeCursors(index) {
    const full = this.element._fullLayout;
    if (!full) return;
    const step = this.page.steps[index];
    this.stepAxes.forEach((name, i) => {
      const x = full[name.replace("x", "xaxis")];
      const y = full[name.replace("x", "yaxis")];
      if (!x || !y || !x._length) return;
      const at = Math.min(Math.max(x.d2p(step), 0), x._length);
      const place = Number.isFinite(at) ? at : 0; // step 0 has no place on a logarithmic axis: its left end
      Object.assign(this.cursors[i].style, { left: `${x._offset + place}px`, top: `${y._offset}px`, height: `${y._length}px` });
    });
  }

  // A click inside a time axis goes to the nearest checkpoint; elsewhere it does nothing.
  clicked(event) {
    const full = this.element._fullLayout;
    if (!full) return;
    const box = this.element.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    for (const name of this.stepAxes) {
      const x = full[name.replace("x", "xaxis")];
      const y = full[name.replace("x", "yaxis")];
      if (px < x._offset || px > x._offset + x._length || py < y._offset || py > y._offset + y._length) continue;
      this.page.goTo(nearest(this.page.steps, x.p2d(px - x._offset)));
      return;
    }
  }

  // The figure as it stands, with its title and step, as a file.
  save(format, title) {
    const step = this.page.steps[this.shown].toLocaleString("en-US");
    const layout = {
      ...this.layout,
      title: { text: `${title} (step ${step})`, font: { size: 15 }, x: 0, xref: "paper", y: 1, yref: "container", yanchor: "top", pad: { t: 10 } },
      margin: { ...this.layout.margin, t: ((this.layout.margin || {}).t ?? 60) + 28 },
      height: (this.layout.height || 450) + 28,
    };
    const size = { width: layout.width, height: layout.height, scale: format === "png" ? 2 : 1 };
    const filename = `${this.element.closest(".panel").id.replace("panel-", "")}-step${this.page.steps[this.shown]}`;
    return Plotly.downloadImage({ data: this.data, layout, config: CONFIG }, { format, filename, ...size });
  }
}

function setPath(target, path, value) {
  const names = path.split(".");
  const last = names.pop();
  for (const name of names) target = target[name] = { ...target[name] };
  target[last] = value;
}

function nearest(steps, wanted) {
  let best = 0;
  steps.forEach((step, i) => { if (Math.abs(step - wanted) < Math.abs(steps[best] - wanted)) best = i; });
  return best;
}

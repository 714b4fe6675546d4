// Panels: one figure each, as cells that are placed for the width there is, under one legend.

// Plotly's names of dashed lines, short enough for a legend to show what they are.
const LEGEND_DASHES = { dash: "6 4", dot: "2 3", dashdot: "6 3 2 3", longdash: "10 4", longdashdot: "11 3 2 3" };

// A name as text in plotly's titles, which take some markup.
function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

// A short line as it is drawn in a figure, beside the name of what it stands for.
function stroke(color = "currentColor", dash = "solid") {
  const line = svg("svg", { width: 26, height: 10, "aria-hidden": "true" });
  const dashes = LEGEND_DASHES[dash] || (/px/.test(dash) ? dash.replaceAll("px", "") : "none");
  line.append(svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: color, "stroke-width": 2.4, "stroke-dasharray": dashes }));
  return line;
}

// A bar of colours under a row of maps that share a scale: what its two ends stand for.
function scaleOf(cells) {
  const maps = cells.flatMap(({ data }) => data.filter((trace) => trace.type === "heatmap"));
  const ends = maps.map((trace) => [trace.zmin ?? lowest(trace.z), trace.zmax ?? highest(trace.z)]);
  if (!maps.length || ends.some(([low, high]) => low !== ends[0][0] || high !== ends[0][1]) || !ends[0].every(Number.isFinite)) return null;
  const bar = Object.assign(document.createElement("div"), { className: "scalebar" });
  const [low, high] = [0, 1].map(() => document.createElement("span"));
  bar.append(low, document.createElement("i"), high);
  bar.say = (...values) => [low, high].forEach((end, i) => { end.textContent = reading(values[i], false); });
  bar.say(...ends[0]);
  const own = maps[0].colorscale;
  bar.paint = (template) => {
    const scale = Array.isArray(own) ? own : template.layout.colorscale.sequential;
    bar.querySelector("i").style.background = `linear-gradient(90deg, ${scale.map(([at, colour]) => `${colour} ${100 * at}%`).join(", ")})`;
  };
  return bar;
}

// The same on a picture, which takes no bar of the page: plotly's own, right of the last map of each row. Where that ends its row all
// cells become narrower, so that maps stay of one size; where others follow, it alone does.
function scaleBeside(data, layout, grid) {
  const width = plotWidth(layout);
  const shape = width / ((layout.height || 450) - (layout.margin?.t ?? 100) - (layout.margin?.b ?? 80));
  const room = 56 / width;
  const ends = (axis, suffix) => layout[`${axis}axis${suffix}`]?.domain || [0, 1];
  const box = (suffix) => { // a square stands in the upper left corner of its cell
    const [[left, right], [bottom, top]] = [ends("x", suffix), ends("y", suffix)];
    const isSquare = ["x", "y"].some((axis) => layout[`${axis}axis${suffix}`]?.scaleanchor);
    return isSquare ? [Math.min(right, left + (top - bottom) / shape), Math.max(bottom, top - (right - left) * shape), top] : [right, bottom, top];
  };
  const maps = grid.map((row) => {
    const cells = row.cells.map(({ n }) => (n === 1 ? "" : String(n)));
    const all = data.filter((trace) => trace.type === "heatmap" && cells.includes((trace.xaxis || "x").slice(1)));
    const there = all.filter(({ z }) => Array.from(z || []).some((values) => values.some(Number.isFinite)));
    return all.every(({ showscale }) => showscale === false) && scaleOf([{ data: there }]) ? there.at(-1) : null;
  }).filter(Boolean);
  const suffixes = maps.map(({ xaxis }) => (xaxis || "x").slice(1));
  const crowded = suffixes.filter((suffix) => ends("x", suffix)[1] - box(suffix)[0] < room);
  const isLast = crowded.some((suffix) => ends("x", suffix)[1] > 1 - room);
  const names = isLast ? Object.keys(layout).filter((key) => key.startsWith("xaxis")) : crowded.map((suffix) => `xaxis${suffix}`);
  for (const name of maps.length ? names : []) {
    const [left, right] = layout[name].domain || [0, 1];
    layout[name] = { ...layout[name], domain: isLast ? [left * (1 - room), right * (1 - room)] : [left, right - room] };
  }
  maps.forEach((map, i) => {
    const [right, bottom, top] = box(suffixes[i]);
    map.showscale = true;
    map.colorbar = { x: right + 10 / width, xanchor: "left", xpad: 0, y: top, yanchor: "top", ypad: 0, len: top - bottom, thickness: 10, outlinewidth: 0, nticks: 5 };
  });
}

// A text in lines of so many pixels in a picture's title, broken between words.
function brokenAt(text, width, page) {
  PEN.font = `15px ${page.templates[page.theme].layout.font.family}`;
  const lines = [];
  const fits = (line) => PEN.measureText(line).width <= width;
  for (const word of text.split(" ")) {
    if (lines.length && fits(`${lines.at(-1)} ${word}`)) lines.push(`${lines.pop()} ${word}`);
    else lines.push(word);
    while (lines.at(-1).length > 1 && !fits(lines.at(-1))) { // a word that is longer than a line: a run may have any name
      const long = lines.pop();
      let end = long.length - 1;
      while (end > 1 && !fits(long.slice(0, end))) end -= 1;
      lines.push(long.slice(0, end), long.slice(end));
    }
  }
  return lines;
}

function lowest(rows) {
  return Array.from(rows || []).reduce((least, row) => row.reduce((one, value) => (value < one ? value : one), least), Infinity);
}

function highest(rows) {
  return Array.from(rows || []).reduce((most, row) => row.reduce((one, value) => (value > one ? value : one), most), -Infinity);
}

class Panel {
  constructor(element, source, page) {
    this.element = element;
    this.page = page;
    this.steps = source.steps;
    this.moves = source.moves;
    this.data = page.blocks.resolve(source.data);
    this.layout = page.blocks.resolve(source.layout);
    this.logY = true;
    this.visible = false;
    this.hidden = new Set(); // names switched off in the legend
    this.cells = splitCells(this.data, this.layout, this.moves).map((parts) => new Cell(parts, this));
    this.grid = (this.layout.meta || {}).grid || [{ height: (this.layout.height || 450) - MARGIN.t - MARGIN.b, cells: [{ n: 1, weight: 1 }] }];
    this.scales = []; // bars of colours, one under each row of maps that share one
    this.fill();
  }

  get shown() {
    return Math.min(...this.cells.map((cell) => cell.shown));
  }

  get moving() {
    return this.moves.length > 0;
  }

  // What is printed over the figure, because paper has no slider that says it.
  at(step) {
    return this.steps.length && this.page.source.knows_step ? `At step ${step.toLocaleString("en-US")}` : "";
  }

  // Notes that a picture of the figure needs besides.
  get remarks() {
    return [];
  }

  // Bring one cell to a checkpoint.
  move(cell, index) {
    applyMoves(cell.moves, this, index, (place, path) => (place !== "layout" ? cell.data[place] : path.startsWith("annotations.") ? cell.own : cell.layout));
  }

  fill() {
    const box = this.element.querySelector(".cells");
    for (const row of this.grid) {
      const line = box.appendChild(Object.assign(document.createElement("div"), { className: "line" }));
      line.append(...row.cells.map(({ n }) => this.cell(n).element));
      const scale = scaleOf(row.cells.map(({ n }) => this.cell(n)));
      if (scale) box.append(scale);
      if (scale) this.scales.push(scale);
    }
    if (this.layout.showlegend && !this.cells[0].whole) this.element.querySelector(".legend").append(...this.legend());
  }

  // Whether it waits to be unfolded.
  get folded() {
    return Boolean(this.element.closest("details.fold:not([open])"));
  }

  cell(n) {
    return this.cells.find((cell) => cell.n === n);
  }

  legend() {
    const named = this.data.filter((trace) => trace.name && (trace.showlegend ?? trace.type === "scatter"));
    return named.map((trace) => {
      const item = Object.assign(document.createElement("button"), { type: "button", className: "item" });
      const { color, dash } = trace.line || {};
      item.append(stroke(color, dash), trace.name);
      item.setAttribute("aria-pressed", "true");
      item.addEventListener("click", () => this.toggle(trace.legendgroup || trace.name, item));
      return item;
    });
  }

  toggle(name, item) {
    const on = this.hidden.delete(name) || !this.hidden.add(name);
    item.setAttribute("aria-pressed", on);
    for (const cell of this.cells) {
      const touched = cell.data.filter((trace) => (trace.legendgroup || trace.name) === name);
      for (const trace of touched) trace.visible = on;
      if (touched.length) cell.draw(this.page.index);
    }
  }

  async draw(index) {
    this.place(this.page.paper || Math.max(280, Math.floor(this.element.getBoundingClientRect().width)));
    for (const bar of this.element.querySelectorAll(".scalebar")) bar.paint?.(this.page.templates[this.page.theme]);
    for (const cell of this.cells) await cell.draw(index);
  }

  show(index) {
    for (const cell of this.cells) cell.show(index);
  }

  // Sizes of all cells: side by side where they fit, otherwise on lines of their own (squares: as many to a line as fit).
  place(width) {
    for (const row of this.grid) {
      const cells = row.cells.map((cell) => ({ ...cell, ...this.cell(cell.n) }));
      const bare = cells.every((cell) => cell.bare);
      const line = this.cell(row.cells[0].n).element.parentElement;
      const indent = bare && width > 600 ? MARGIN.l - BARE.l : 0;
      line.style.paddingLeft = `${indent}px`;
      const margins = (cell) => (cell.bare ? BARE : MARGIN);
      const sides = (cell) => margins(cell).l + margins(cell).r;
      const squares = cells.every((cell) => cell.square);
      const least = (cell) => (cell.square ? (squares ? NARROWEST.square : row.height) + sides(cell) : NARROWEST.plot);
      const free = (n) => width - indent - GAP * (n - 1);
      const fits = cells.reduce((sum, cell) => sum + least(cell), 0) <= free(cells.length);
      const perLine = fits ? cells.length : squares ? this.balanced(cells.length, width - indent, least(cells[0])) : 1;
      // Above the plot with the names of the phases, and above those beside it, there is room for them.
      const side = (cell) => Math.min(row.height, (squares ? free(perLine) / perLine : free(1)) - sides(cell));
      const wide = (cell) => (cell.square ? side(cell) + sides(cell) : fits ? this.share(cell, cells, free(cells.length), row.height, sides) : free(1));
      const named = cells.filter((cell) => cell.named && !cell.whole);
      const strip = named.some((cell) => bandsThatFit(this.page, wide(cell) - sides(cell)).length) ? STRIP : 0;
      for (const cell of cells) {
        const own = this.cell(cell.n);
        own.strip = perLine > 1 || cell.named ? strip : 0;
        const { t, b, ...rest } = margins(cell);
        this.size(own, Math.floor(wide(cell)), Math.floor((cell.square ? side(cell) : row.height) + t + own.strip + b), { ...rest, t: t + own.strip, b });
      }
    }
  }

  balanced(count, width, least) {
    const most = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
    return Math.ceil(count / Math.ceil(count / most));
  }

  // Width of a cell that is not square, beside cells that may be.
  share(cell, cells, free, height, sides) {
    const others = cells.filter((one) => !one.square);
    const rest = free - cells.filter((one) => one.square).reduce((sum, one) => sum + height + sides(one), 0);
    return (rest * cell.weight) / others.reduce((sum, one) => sum + one.weight, 0);
  }

  size(cell, width, height, margin) {
    cell.element.style.width = `${width}px`;
    cell.layout.width = width;
    if (cell.whole) {
      cell.layout.height = this.layout.height || 450;
      cell.layout.autosize = false;
      return;
    }
    cell.layout.height = height;
    cell.layout.margin = { ...margin, autoexpand: false };
  }

  // The whole figure at the checkpoint: copies, so that what is seen stays as it is.
  now() {
    const { page } = this;
    const made = (cell, { z, zmin, zmax }) => (cell?.data?.[0] ? { z: cell.data[0].z, zmin: cell.data[0].zmin, zmax: cell.data[0].zmax } : { z, zmin, zmax });
    const shown = (trace, i) => (this.moves.length ? trace : { ...trace, ...made(this.cells[i], trace) });
    const data = this.data.map(this.tables ? shown : (trace) => trace).map((trace) => ({ ...trace, visible: this.hidden.has(trace.legendgroup || trace.name) ? false : trace.visible }));
    const layout = { ...this.layout, annotations: (this.layout.annotations || []).map((item) => ({ ...item })), template: page.templates[page.theme] };
    applyMoves(this.moves, this, page.index, (place) => (place === "layout" ? layout : data[place]));
    return { data, layout };
  }

  // What is drawn at the checkpoint, as CSV: a line for each field of a map and each point of a curve, as precise as the page has it.
  drawn() {
    const { data, layout } = this.now();
    const lines = [["plot", "name", "x", "y", "value"]];
    for (const trace of data) {
      const plain = (text) => (text || "").replace(/<[^>]*>/g, "");
      const title = (layout.annotations || []).find((item) => isTitle(item) && String(item.xref).split(" ")[0] === (trace.xaxis || "x"));
      const start = [plain(title?.text), plain(trace.name)];
      const at = (axis, i) => trace[axis]?.[i] ?? (trace[`${axis}0`] ?? 0) + i * (trace[`d${axis}`] ?? 1);
      if (trace.z) trace.z.forEach((row, i) => row.forEach((value, j) => lines.push([...start, at("x", j), at("y", i), exact(value, row)])));
      else (trace.y || []).forEach((value, i) => lines.push([...start, at("x", i), exact(value, trace.y), ""]));
    }
    return lines.map((line) => line.map(field).join(",")).join("\n") + "\n";
  }

  // The whole figure as it stands, with its title and step, as a file.
  save(format, title) {
    const { page } = this;
    const step = page.steps[page.index];
    const { data, layout } = this.now();
    layout.width = 1000;
    layout.paper_bgcolor = page.templates[page.theme].layout.paper_bgcolor; // its ink is that of the theme, whatever it will lie on
    const cell = this.cells[0];
    for (const name of [].concat((this.layout.meta || {}).step_axis || [])) {
      layout[name.replace("x", "xaxis")] = { ...axisOf(layout, name) };
      scaleSteps(axisOf(layout, name), page);
      layout.shapes = [...(layout.shapes || []), ...Cell.prototype.bands.call({ page, data, isMap: cell.isMap }, name)];
      // Inside the plots, whose room above belongs to their titles.
      layout.annotations = [...(layout.annotations || []), ...bandNames({ stepAxes: [name], data, layout, isMap: cell.isMap, whole: true }, page)];
    }
    for (const name of [].concat((this.layout.meta || {}).log_axis || [])) {
      layout[name.replace("y", "yaxis")] = { ...axisOf(layout, name) };
      scaleValues(axisOf(layout, name), this.logY);
    }
    layout.annotations = [...(layout.annotations || []), ...this.remarks];
    scaleBeside(data, layout, this.grid);
    const lines = brokenAt(`${page.source.run}: ${title} (step ${page.stepInWords(step)})`, 0.96 * layout.width, page);
    const more = 20 * (lines.length - 1); // plotly counts from the middle of the lines
    layout.title = { text: lines.map(escaped).join("<br>"), font: { size: 15 }, x: 0.01, xanchor: "left", y: 1, yref: "container", yanchor: "top", pad: { t: 12 + more / 2 } };
    layout.margin = { ...layout.margin, t: ((layout.margin || {}).t ?? 80) + 26 + more };
    layout.height = (layout.height || 450) + 26 + more - (this.moves.length && !cell.whole ? 70 : 0); // its slider stays behind
    if (this.moves.length && !cell.whole) layout.margin.b -= 70;
    const filename = `${this.element.closest(".panel").id.replace("panel-", "")}-step${step}`;
    return Plotly.downloadImage({ data, layout, config: CONFIG }, { format, filename, width: layout.width, height: layout.height, scale: format === "png" ? 2 : 1 });
  }
}

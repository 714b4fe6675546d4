// Plots of a study: points over one axis, curves of a cell, survival, laws, any fact against any other. What is drawn was computed before.

const CONFIG = { displayModeBar: false, showSendToCloud: false, plotlyServerURL: "", responsive: false, scrollZoom: false };
const MOST_WORDS = 12; // at points, and names in a legend that are told apart
const FEW_STEPS = 8; // fewer whole numbers than this are ticked one by one
const PLOT_MARGIN = { l: 66, r: 18, t: 30, b: 48 };

// Draw a figure in the width there is; `alt` is what it shows, for those who cannot see it.
async function plot(study, id, data, layout, alt) {
  const box = document.getElementById(id);
  const width = Math.max(280, Math.floor(box.parentElement.getBoundingClientRect().width));
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", alt);
  await Plotly.react(box, structuredClone(data), { margin: PLOT_MARGIN, ...structuredClone(layout), width, autosize: false, dragmode: "zoom", uirevision: study.view, template: study.templates[study.theme] }, CONFIG);
}

function clear(id, words = "") {
  const box = document.getElementById(id);
  Plotly.purge(box);
  box.removeAttribute("role");
  box.removeAttribute("aria-label");
  box.replaceChildren(...(words ? [make("p", { className: "notice" }, words)] : []));
}

const LETTER = 6.6; // pixels of a letter of figures
const LONG_TICK = 14; // letters; longer ones get lines of their own, or plotly leaves out those that reach over the edge

// A text in lines of at most so many letters, broken behind spaces and signs, and inside a word only where it is longer than a line.
function inLines(text, most = LONG_TICK) {
  const lines = [""];
  for (const part of text.split(/(?<=[\s.;:,=/])(?=[^\s\d])|(?<=[=])/)) {
    if ((lines.at(-1) + part).trimEnd().length <= most) lines[lines.length - 1] += part;
    else for (let from = 0; from < part.length; from += most) lines.push(part.slice(from, from + most));
  }
  return lines.map((line) => line.trim()).filter(Boolean).join("<br>");
}

// Those of an axis's positions that lie no nearer than a share of it to the one before.
function apart(axis, places, gap) {
  const kept = [];
  for (const i of places) if (!kept.length || axis.shares[i] - axis.shares[kept.at(-1)] >= gap) kept.push(i);
  return kept;
}

// Ticks at an axis's own values: all of a few, of many numbers those that have room.
function ticksAt(axis, id) {
  const longest = Math.max(...axis.ticks.map((text) => text.length));
  const all = axis.texts.map((_, i) => i);
  const places = axis.numbers && all.length > MOST_WORDS ? apart(axis, all, Math.max(1 / MOST_WORDS, (LETTER * (longest + 2)) / plotRoom(id))) : all;
  const at = axis.numbers || all;
  return { tickmode: "array", tickvals: places.map((i) => at[i]), ticktext: places.map((i) => inLines(axis.ticks[i])), automargin: true };
}

function plotRoom(id) {
  return Math.max(280, document.getElementById(id).parentElement.getBoundingClientRect().width) - PLOT_MARGIN.l - PLOT_MARGIN.r;
}

function numbered(axis) {
  const at = axis.numbers || axis.texts.map((_, i) => i);
  return { at, layout: { title: { text: axis.title }, type: axis.is_log ? "log" : "linear", ...(axis.is_log || !axis.numbers ? ticksAt(axis, "points") : {}) } };
}

// What is asked over one axis alone, with intervals. A value that is not reached is an open triangle at the upper edge, at no number.
async function drawPoints(study) {
  if (study.y >= 0 || study.x < 0) return clear("points");
  const { question } = study;
  const axis = study.axes[study.x];
  const { at, layout } = numbered(axis);
  const told = study.positions(study.x).map((i) => study.cellAt(i, 0));
  if (question.kind === "outcome") return plot(study, "points", outcomeBars(study, axis, told), { barmode: "stack", height: 320, annotations: [fewNote(study)], xaxis: { title: { text: axis.title }, type: "category", automargin: true }, yaxis: { title: { text: "share of runs" }, range: [0, 1] }, showlegend: true }, `${question.title} by ${axis.label}.`);
  const known = told.map((cell, i) => ({ cell, i, x: at[i], said: cell && study.answer(cell) })).filter(({ said }) => said && said.n);
  const reached = known.filter(({ said }) => said.value !== null);
  const top = 1.12 * Math.max(...reached.flatMap(({ said }) => [said.value, said.high ?? 0]), 0); // an end that is not bounded goes to an edge
  const colour = study.colours.cycle[0];
  const point = {
    type: "scatter", mode: "markers", x: reached.map(({ x }) => x), y: reached.map(({ said }) => said.value), text: reached.map(({ cell }) => study.told(cell)), hovertemplate: "%{text}<extra></extra>",
    marker: { size: 8, color: colour }, showlegend: false,
    error_y: { type: "data", symmetric: false, color: colour, thickness: 1.5, width: 4, array: reached.map(({ said }) => (said.high ?? top) - said.value), arrayminus: reached.map(({ said }) => said.value - (said.low ?? 0)) },
  };
  const beyond = known.filter(({ said }) => said.value === null);
  const inWords = apart(axis, beyond.map(({ i }) => i), (LETTER * "not reached".length) / plotRoom("points"));
  const grey = study.templates[study.theme].layout.xaxis.tickfont.color;
  const triangles = {
    type: "scatter", mode: "markers+text", x: beyond.map(({ x }) => x), y: beyond.map(() => 1), yaxis: "y2", showlegend: false, text: beyond.map(({ i }) => (inWords.includes(i) ? "not reached" : "")), textposition: "bottom center", textfont: { size: 10 },
    customdata: beyond.map(({ cell }) => study.told(cell)), hovertemplate: "%{customdata}<extra></extra>", marker: { symbol: "triangle-up-open", size: 11, color: grey },
  };
  const share = question.kind === "share" ? { range: [-0.03, 1.03], tickformat: ".0%" } : question.kind === "time" ? { range: [0, top || 1], tickformat: ",d", showticklabels: top > 0 } : {};
  await plot(study, "points", [point, triangles], { height: 320, annotations: [fewNote(study)], xaxis: layout, yaxis: { title: { text: unitOf(question) }, ...share }, yaxis2: { overlaying: "y", range: [0, 1.12], visible: false } }, `${question.title} by ${axis.label}, with 95 % intervals; the cells below say the same in numbers.`);
}

// What a picture of cells says of those with few runs.
function fewNote(study) {
  return { text: fewCells(study), x: 1, y: 1, xref: "paper", yref: "paper", xanchor: "right", yanchor: "bottom", showarrow: false, font: { size: 11 } };
}

const unitOf = (question) => ({ time: "steps", share: "share of runs" })[question.kind] || question.title.replace("median of the ", "");

function outcomeBars(study, axis, cells) {
  return Object.entries(study.colours.outcomes).map(([name, color]) => ({
    type: "bar", name, x: axis.ticks.map((text) => inLines(text)), marker: { color }, y: cells.map((cell) => (cell ? (cell.outcomes[name] || 0) / Math.max(1, Object.values(cell.outcomes).reduce((a, b) => a + b, 0)) : 0)),
  })).filter(({ y }) => y.some(Boolean));
}

// The curves of a cell's runs, one small plot a kind.
async function drawCurves(study) {
  const kinds = study.curves;
  if (!kinds.length || !study.cell) return clear("curves", "No run of this study has curves yet.");
  const width = document.getElementById("curves").parentElement.getBoundingClientRect().width;
  const across = width > 640 ? 2 : 1;
  const lines = Math.ceil(kinds.length / across);
  const [data, layout] = [[], { height: 30 + 250 * lines, showlegend: false, annotations: [], margin: { ...PLOT_MARGIN, t: 34, b: 8 } }];
  kinds.forEach((kind, k) => {
    const n = k ? String(k + 1) : "";
    const [column, line] = [k % across, Math.floor(k / across)];
    const left = column * (across > 1 ? 0.54 : 0);
    const [top, bottom] = [1 - line / lines, 1 - (line + 1) / lines + 0.24 / lines];
    layout[`xaxis${n}`] = { domain: [left, left + (across > 1 ? 0.46 : 1)], anchor: `y${n}`, title: { text: "step" }, range: [0, study.ranges[k].lastStep], tickformat: ",d", nticks: 6 };
    layout[`yaxis${n}`] = { domain: [bottom, top - 0.06 / lines], anchor: `x${n}`, title: { text: kind.unit }, ...(kind.is_log ? { type: "log", exponentformat: "power", tickfont: { size: 9 } } : { range: [-0.02 * (kind.top || 1), kind.top ? kind.top * 1.03 : undefined] }) };
    if (!kind.is_log && !kind.top) layout[`yaxis${n}`].range = [0, study.ranges[k].high * 1.04];
    layout.annotations.push({ text: `<b>${kind.title}</b>`, x: 0, y: 1, xref: `x${n} domain`, yref: `y${n} domain`, xanchor: "left", yanchor: "bottom", yshift: 3, showarrow: false });
    const order = [...study.cell.rows].sort((a, b) => (a === study.run) - (b === study.run));
    for (const row of order) data.push({ ...curveTrace(study, kind, row), xaxis: `x${n}`, yaxis: `y${n}` });
  });
  await plot(study, "curves", data, layout, `Curves of the ${study.cell.rows.length} runs at ${study.placeInWords(study.cell)}.`);
  const box = document.getElementById("curves");
  box.removeAllListeners?.("plotly_click");
  box.on("plotly_click", ({ points }) => study.chooseRun(points[0].data.meta.row));
}

function curveTrace(study, kind, row) {
  const { steps, values } = study.curve(kind, row);
  const chosen = row === study.run;
  const colour = { test_accuracy: "#d55e00", train_accuracy: "#0072b2", restricted_loss: "#009e73" }[kind.name] || "#7d8590";
  return {
    type: "scatter", mode: steps.length === 1 ? "markers" : "lines", x: steps, y: kind.is_log ? Array.from(values, (value) => 10 ** value) : values, meta: { row }, name: study.nameOf(row),
    line: { color: chosen ? study.ink : colour, width: chosen ? 2.4 : 1.2 }, opacity: chosen ? 1 : 0.7, hovertemplate: `${study.nameOf(row)}<br>step %{x:,}: %{y:.4~g}<extra></extra>`,
  };
}

async function drawSurvival(study) {
  if (!study.axes.length) return;
  const found = study.source.survival[study.key(study.time, study.by)];
  const said = document.getElementById("survival-said");
  said.replaceChildren();
  document.getElementById("survival-rows").replaceChildren();
  if (!found) return clear("survival", "No run is finished here, so there is nothing to compare.");
  const data = namedInLines("survival", found.data);
  await plot(study, "survival", data, { ...found.layout, ...withLegend("survival", data, found.layout.margin) }, found.layout.meta.alt);
  said.replaceChildren(...found.said.map((words) => make("p", { className: "said-line" }, words)));
  document.getElementById("survival-rows").replaceChildren(plainTable(found.header, found.rows));
}

// Traces whose names fit into a legend of this width: plotly cuts longer ones off.
function namedInLines(id, data) {
  const most = Math.floor((plotRoom(id) - 56) / LETTER);
  return data.map((trace) => (trace.name ? { ...trace, name: inLines(trace.name, most) } : trace));
}

// Height and margin with room for a legend of as many lines as it has in this width: it must not push the curves together.
function withLegend(id, data, margin, height = 310) {
  const names = data.filter(({ name, showlegend }) => name && showlegend !== false).map(({ name }) => name.split("<br>"));
  const widest = Math.max(...names.flat().map((line) => 56 + LETTER * line.length));
  const across = Math.max(1, Math.floor((plotRoom(id) + PLOT_MARGIN.l + PLOT_MARGIN.r - margin.l - margin.r) / widest));
  const lines = Array.from({ length: Math.ceil(names.length / across) }, (_, k) => Math.max(...names.slice(k * across, (k + 1) * across).map((name) => name.length)));
  const top = 20 + lines.reduce((sum, count) => sum + 20 + 16 * (count - 1), 0);
  return { height: Math.max(height + top, 2 * top + 40), margin: { ...margin, t: top }, legend: { yanchor: "bottom", y: 1.02, tracegroupgap: 0 } };
}

async function drawLaw(study) {
  const { axes, found } = study.source.laws;
  if (!axes.length) return;
  const law = found[study.key(study.lawTime, study.along)];
  document.getElementById("law-said").textContent = law.said;
  document.getElementById("law-rows").replaceChildren(...(law.rows.length ? [plainTable(["", "value (95 %)"], law.rows)] : []));
  if (law.data) await plot(study, "law", law.data, law.layout, law.layout.meta.alt);
  else clear("law", "There is nothing to draw here.");
}

function plainTable(header, rows) {
  const table = make("table");
  table.createTHead().append(make("tr", {}, ...header.map((text) => (text ? make("th", { scope: "col" }, text) : make("td")))));
  const body = table.createTBody();
  for (const [first, ...rest] of rows) body.append(make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((text) => make("td", {}, text))));
  return table;
}

// Any fact of the runs against any other. A time that was not seen is at least the last step: an open triangle there.
async function drawFacts(study) {
  const [x, y] = [study.column(study.factX), study.column(study.factY)];
  const groups = study.colour < 0 ? [["all runs", study.rows.map((_, i) => i)]] : study.axes[study.colour].texts.map((text, i) => [text, study.rows.flatMap((place, row) => (place[study.colour] === i ? [row] : []))]);
  const { cycle } = study.colours;
  const data = groups.flatMap(([name, rows], g) => {
    const known = rows.map((row) => ({ row, x: study.drawn(x, row), y: study.drawn(y, row) })).filter((one) => one.x !== null && one.y !== null);
    if (!known.length) return [];
    known.sort((one, other) => Number(one.x.beyond || one.y.beyond) - Number(other.x.beyond || other.y.beyond)); // the legend shows the first
    return [{
      type: "scatter", mode: "markers", name, x: known.map((one) => one.x.value), y: known.map((one) => one.y.value), text: known.map(({ row }) => study.nameOf(row)), customdata: known.map(({ row }) => row),
      hovertemplate: "%{text}<br>%{x}, %{y}<extra></extra>",
      marker: { size: 7, opacity: 0.8, color: cycle[g % cycle.length], symbol: known.map((one) => (one.x.beyond || one.y.beyond ? "triangle-up-open" : g >= cycle.length ? "square" : "circle")) },
    }];
  });
  if (!data.length) return clear("facts-of-runs", "No run has both of these facts yet.");
  const isNamed = data.length > 1 && data.length <= 2 * MOST_WORDS;
  const named = namedInLines("facts-of-runs", data);
  const room = isNamed ? withLegend("facts-of-runs", named, PLOT_MARGIN, 396) : { height: 420, margin: { ...PLOT_MARGIN, t: 24 } };
  const [across, up] = ["x", "y"].map((side) => data.flatMap((trace) => trace[side]));
  await plot(study, "facts-of-runs", named, { ...room, xaxis: axisOfFacts(study, x, study.logX, across), yaxis: axisOfFacts(study, y, study.logY, up), showlegend: isNamed }, `${said(y.name)} of every run against ${said(x.name)}.`);
  const box = document.getElementById("facts-of-runs");
  box.removeAllListeners?.("plotly_click");
  box.on("plotly_click", ({ points }) => { study.chooseRun(points[0].customdata); document.getElementById("panel-cell").scrollIntoView(); });
}

// The axis of a fact: the values of an axis of the study are ticked themselves, whole numbers at whole ones.
function axisOfFacts(study, column, isLog, values) {
  const axis = study.axes.find(({ name }) => name === column.name);
  const made = { title: { text: said(column.name) }, type: column.kind === "text" ? "category" : isLog ? "log" : "linear", automargin: true };
  if (column.kind === "text") return { ...made, ...(axis ? { categoryorder: "array", categoryarray: axis.texts, tickmode: "array", tickvals: axis.texts, ticktext: axis.texts.map((text) => inLines(text)) } : {}) };
  if (axis && isLog) return { ...made, ...ticksAt(axis, "facts-of-runs") };
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const isWhole = values.every(Number.isInteger);
  if (isWhole && high - low < FEW_STEPS) return { ...made, tickformat: ",d", dtick: isLog ? "L1" : 1 };
  // In figures, not by their last digit alone, as plotly writes those between powers of ten.
  const byDigits = isLog && high < 1000 * low ? { tickformat: ",~r", ...(high > 10 * low ? { dtick: "D2" } : {}) } : {};
  return { ...made, ...byDigits, ...(column.kind === "time" ? { tickformat: ",d" } : {}) };
}

// What was said of runs early on, against what became of them, on equal logarithmic axes.
async function drawTold(study) {
  const { points, said } = study.source.told;
  document.getElementById("panel-told").hidden = !points.length;
  document.getElementById("told-said").textContent = said;
  if (!points.length) return clear("told");
  const colour = study.colours.cycle[0];
  const ends = points.flatMap((one) => [one.low, one.high, one.got]);
  const edge = [Math.min(...ends) / 1.15, Math.max(...ends) * 1.15];
  const grey = study.templates[study.theme].layout.xaxis.tickfont.color;
  const data = [
    { type: "scatter", mode: "lines", x: edge, y: edge, hoverinfo: "skip", showlegend: false, line: { color: grey, width: 1, dash: "dot" } },
    {
      type: "scatter", mode: "markers", showlegend: false, x: points.map((one) => one.at), y: points.map((one) => one.got), text: points.map(({ row }) => study.nameOf(row)), customdata: points.map(({ row }) => row),
      hovertemplate: "%{text}<br>said %{x:,d}, was %{y:,d}<extra></extra>",
      marker: { size: 7, color: colour, symbol: points.map((one) => (one.beyond ? "triangle-up-open" : "circle")) },
      error_x: { type: "data", symmetric: false, color: colour, thickness: 1, width: 0, array: points.map((one) => one.high - one.at), arrayminus: points.map((one) => one.at - one.low) },
    },
  ];
  const axis = (text) => ({ title: { text }, type: "log", range: edge.map(Math.log10), tickformat: ",d", dtick: "D2" });
  await plot(study, "told", data, { height: 420, xaxis: axis("step that was said"), yaxis: axis("step at which it grokked"), showlegend: false }, `Forecast against outcome, a point a run. ${said}`);
  const box = document.getElementById("told");
  box.removeAllListeners?.("plotly_click");
  box.on("plotly_click", ({ points: [one] }) => { if (one.customdata !== undefined) study.chooseRun(one.customdata); });
}

// The name of a column for people.
function said(name) {
  return name.split(".").pop().replaceAll("_", " ");
}

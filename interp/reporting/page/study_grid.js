// Maps of cells: a table of buttons, over the axes that are across and up. One of them can be reached by Tab, the others by arrow keys.

const WIDEST = 140; // pixels of a cell
const TINY = 46; // narrower ones have no text
const NARROWEST_CELL = 15;
const HIGHEST = 760; // pixels of a map, where its cells are not too low for that
const LOW = 34; // lower cells have no text either: it has two lines

// Put a map into a box. `fill(button, cell, size)` draws a cell, `told(cell)` says it in words, for the tip and for those who cannot see it.
function drawMap(study, box, { name, fill, told, high }) {
  const [columns, rows] = [study.positions(study.x), study.positions(study.y)];
  const room = box.getBoundingClientRect().width;
  const longest = Math.max(4, ...rows.map((j) => (study.y < 0 ? 0 : study.axes[study.y].ticks[j].length)));
  const headWidth = Math.min(22 + 7 * longest, Math.max(100, Math.floor(room / 3)));
  const free = room - headWidth - 8;
  const wide = Math.max(NARROWEST_CELL, Math.min(WIDEST, Math.floor(free / columns.length) - 3));
  const tall = high ? high(wide) : Math.max(18, Math.min(60, wide, Math.floor(HIGHEST / rows.length)));
  const table = make("table", { className: "map" });
  table.setAttribute("role", "grid");
  table.setAttribute("aria-label", name);
  const body = table.createTBody();
  for (const j of [...rows].reverse()) body.append(mapRow(study, columns, j, { fill, told, size: [wide, tall] }));
  body.append(acrossRow(study, columns, wide));
  const scroll = make("div", { className: `map-scroll${wide < TINY || tall < LOW ? " tiny" : ""}` }, table);
  scroll.style.setProperty("--wide", `${wide}px`);
  scroll.style.setProperty("--high", `${tall}px`);
  scroll.style.setProperty("--head", `${headWidth - 14}px`);
  const label = (axis, arrow) => make("p", { className: "axis" }, axis < 0 ? "" : `${study.axes[axis].title} ${arrow}`);
  box.replaceChildren(label(study.y, "↑"), scroll, label(study.x, "→"));
  box.lastChild.style.paddingLeft = `${headWidth}px`;
  table.addEventListener("keydown", (event) => moveInMap(event, table));
  const buttons = [...table.querySelectorAll("button")];
  (buttons.find((button) => button.getAttribute("aria-pressed") === "true") || buttons[0]).tabIndex = 0;
}

function mapRow(study, columns, j, { fill, told, size }) {
  const line = make("tr");
  line.append(study.y < 0 ? make("td") : axisHead(study.axes[study.y], j, "row"));
  for (const i of columns) {
    const cell = study.cellAt(i, j);
    const button = make("button", { type: "button", className: "place", tabIndex: -1 });
    if (cell) {
      fill(button, cell, size);
      const words = told(cell);
      button.setAttribute("aria-label", words);
      button.setAttribute("aria-pressed", cell === study.cell);
      button.addEventListener("click", () => study.choose(cell));
      for (const [event, shows] of [["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false]]) {
        button.addEventListener(event, () => (shows ? showTip(button, words) : hideTip()));
      }
    } else {
      button.classList.add("none");
      button.setAttribute("aria-label", "no run is planned here");
    }
    line.append(make("td", {}, button));
  }
  return line;
}

// The values across, as many as have room.
function acrossRow(study, columns, wide) {
  const line = make("tr", { className: "across" });
  line.append(make("td"));
  if (study.x < 0) return line;
  const axis = study.axes[study.x];
  const { ticks } = axis;
  const every = axis.numbers === null ? 1 : Math.ceil((Math.max(...ticks.map((text) => text.length)) * 7 + 6) / (wide + 2));
  for (const i of columns) line.append(axisHead(axis, i, "col", every > 1 && i % every ? "" : ticks[i]));
  return line;
}

// The head of a column or a row: a value, whole for those who ask or cannot see it. Names are in lines that end with their cell.
function axisHead({ texts, ticks, numbers }, i, scope, shown = ticks[i]) {
  const head = make("th", { scope, title: texts[i] }, numbers === null ? make("span", { className: "lines" }, shown) : shown);
  if (shown !== texts[i]) head.setAttribute("aria-label", texts[i]);
  return head;
}

function moveInMap(event, table) {
  const at = event.target.closest("button");
  const change = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -1e9], End: [0, 1e9] }[event.key];
  if (!at || !change) return;
  event.preventDefault();
  const lines = [...table.rows].map((row) => [...row.querySelectorAll("button")]).filter((buttons) => buttons.length);
  const row = lines.findIndex((buttons) => buttons.includes(at));
  const inside = (value, count) => Math.min(Math.max(value, 0), count - 1);
  const next = lines[inside(row + change[0], lines.length)];
  const target = next[inside(lines[row].indexOf(at) + change[1], next.length)];
  for (const button of lines.flat()) button.tabIndex = button === target ? 0 : -1;
  target.focus();
}

// What is asked of every cell, in colour and in numbers.
function drawPhase(study) {
  const { question, theme } = study;
  const box = document.getElementById("phase-map");
  const scale = scaleOf(study);
  const fill = (button, cell, [wide]) => {
    const said = study.answer(cell);
    const colour = scale.colour(cell);
    if (colour) Object.assign(button.style, { backgroundColor: `rgb(${colour.join(",")})`, color: inkOn(colour) });
    else button.classList.add(said.n ? "beyond" : "none");
    button.append(study.short(cell, wide));
    if (said.n && said.few && wide >= TINY) button.append(make("small", {}, `n = ${said.n}`));
    else if (said.n && wide > 88 && question.kind !== "outcome") button.append(make("small", {}, study.span(said)));
  };
  drawMap(study, box, { name: `${question.title}, by cell`, fill, told: (cell) => study.told(cell) });
  box.append(scale.key());
  box.dataset.theme = theme;
}

// Colours of a question's answers over all cells that are seen: { colour(cell), key() }.
function scaleOf(study) {
  const { question } = study;
  const beyond = question.kind === "time" ? [swatch("beyond", "not reached: half of the runs were not seen to")] : [];
  const few = fewCells(study);
  const ends = [...beyond, ...(few ? [make("span", {}, few)] : []), ...(study.shown.some((cell) => !study.answer(cell).n) ? [swatch("none", "no finished run")] : [])];
  if (question.kind === "outcome") {
    const { outcomes } = study.colours;
    const seen = new Set(study.shown.map((cell) => study.commonOutcome(cell)).filter(Boolean));
    return {
      colour: (cell) => (study.commonOutcome(cell) ? parsed(outcomes[study.commonOutcome(cell)]) : null),
      key: () => make("div", { className: "key" }, ...[...seen].map((name) => swatch(outcomes[name], name)), ...ends),
      legend: () => [...seen].map((name) => ({ type: "scatter", mode: "markers", x: [null], y: [null], name, marker: { symbol: "square", size: 12, color: outcomes[name] } })),
    };
  }
  const values = study.shown.map((cell) => study.answer(cell).value).filter((value) => value !== null);
  const [low, high] = question.kind === "share" ? [0, 1] : [Math.min(...values), Math.max(...values)];
  const isLog = low > 0 && high / low > 10 && question.kind !== "share";
  const on = isLog ? Math.log : (value) => value;
  const shades = study.templates[study.theme].layout.colorscale.sequential;
  const first = question.kind === "share" ? 0 : 0.1;
  const share = (value) => (high > low ? first + ((1 - first) * (on(value) - on(low))) / (on(high) - on(low)) : 0.5);
  const stops = Array.from({ length: 11 }, (_, i) => [i / 10, `rgb(${mixed(shades, first + ((1 - first) * i) / 10).join(",")})`]);
  const ramp = make("i", { className: "ramp" });
  ramp.style.background = `linear-gradient(90deg, ${stops.map(([, colour]) => colour).join(",")})`;
  const text = (value) => study.number(value);
  const bar = { cmin: on(low), cmax: on(high), colorscale: stops, showscale: true, colorbar: { tickmode: "array", tickvals: [on(low), on(high)], ticktext: [text(low), text(high)], thickness: 14 } };
  return {
    legend: () => (high > low ? [{ type: "scatter", mode: "markers", x: [null], y: [null], showlegend: false, marker: { color: [on(low)], ...bar } }] : []),
    colour: (cell) => (study.answer(cell).value === null ? null : mixed(shades, share(study.answer(cell).value))),
    key: () => make("div", { className: "key" }, ...(values.length ? [make("span", {}, text(low), ramp, text(high), isLog ? " (logarithmic)" : "")] : []), ...ends),
  };
}

// How many of the cells that are seen have few runs, in words; nothing if none has.
function fewCells(study) {
  const known = study.shown.map((cell) => study.answer(cell)).filter(({ n }) => n);
  const count = known.filter(({ few }) => few).length;
  return count ? `${count === known.length ? "all" : `${count} of ${known.length}`} cells: fewer than ${study.source.few} finished runs` : "";
}

function swatch(look, text) {
  const mark = make("i");
  if (look.startsWith("#")) mark.style.background = look;
  else mark.className = look;
  return make("span", {}, mark, text);
}

// A colour of a plotly colour scale, as red, green, blue.
function mixed(scale, share) {
  const next = Math.max(1, scale.findIndex(([at]) => at >= share - 1e-9));
  const [[from, low], [to, high]] = [scale[next - 1], scale[next]];
  const part = to > from ? Math.min(1, Math.max(0, (share - from) / (to - from))) : 1;
  const [one, other] = [parsed(low), parsed(high)];
  return one.map((channel, c) => Math.round(channel + part * (other[c] - channel)));
}

const parsed = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

// Black or white, whichever is read better.
function inkOn(colour) {
  const light = colour.reduce((sum, channel, i) => {
    const v = channel / 255;
    return sum + [0.2126, 0.7152, 0.0722][i] * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  }, 0);
  return light > 0.179 ? "#000000" : "#ffffff";
}

// The map as a figure of plotly's, to be saved: a bar is a cell, with the colours and words that it has on the page.
function mapPicture(study) {
  const { question } = study;
  const scale = scaleOf(study);
  const [columns, rows] = [study.positions(study.x), study.positions(study.y)];
  const { font } = study.templates[study.theme].layout;
  const cells = rows.flatMap((j) => columns.map((i) => ({ i, j, cell: study.cellAt(i, j) }))).filter(({ cell }) => cell);
  const colours = cells.map(({ cell }) => scale.colour(cell));
  const bars = {
    type: "bar", x: cells.map(({ i }) => i), base: cells.map(({ j }) => j - 0.48), y: cells.map(() => 0.96), width: 0.96, showlegend: false, hoverinfo: "skip",
    text: cells.map(({ cell }) => { const { n, few } = study.answer(cell); return `${study.short(cell)}${n && few ? `<br>n = ${n}` : ""}`; }),
    textposition: "inside", insidetextanchor: "middle", textangle: 0, constraintext: "none",
    textfont: { size: columns.length > MOST_WORDS ? 8 : 11, color: colours.map((colour) => (colour ? inkOn(colour) : font.color)) },
    marker: {
      color: colours.map((colour) => (colour ? `rgb(${colour.join(",")})` : "rgba(125,133,144,0.28)")), line: { width: 0 },
    },
  };
  const side = (axis, count) => ({ title: { text: axis < 0 ? "" : study.axes[axis].title }, tickmode: "array", automargin: true, tickvals: axis < 0 ? [] : study.positions(axis), ticktext: axis < 0 ? [] : study.axes[axis].ticks.map((text) => inLines(text)), range: [-0.5, count - 0.5], showgrid: false, zeroline: false });
  const held = study.axes.flatMap((axis, i) => (i === study.x || i === study.y ? [] : [`${axis.label} ${axis.texts[study.held[i]]}`]));
  const width = Math.max(460, 210 + 96 * columns.length);
  const lines = [`${question.title}, study ${study.source.study}`, held.join(", "), fewCells(study)].filter(Boolean).map((text) => inLines(text, Math.floor((width - 28) / 7.2)));
  const title = lines.join("<br>");
  const top = 32 + 17 * title.split("<br>").length;
  return {
    data: [bars, ...scale.legend()],
    layout: {
      width, height: Math.max(260, 86 + top + 52 * rows.length), bargap: 0, showlegend: question.kind === "outcome", legend: { y: 1, x: 1.02, orientation: "v" },
      margin: { l: 80, r: 130, t: top, b: 56 }, xaxis: side(study.x, columns.length), yaxis: side(study.y, rows.length), template: study.templates[study.theme],
      title: { text: title, font: { size: 13 }, x: 0, xanchor: "left", y: 1, yanchor: "top", pad: { l: 14, t: 14 } },
    },
  };
}

// One small plot a cell: all its runs, at the scales that all cells share.
function drawMultiples(study) {
  const kind = study.curves[study.multiple];
  const box = document.getElementById("multiples");
  if (!kind) return box.replaceChildren(make("p", {}, "No run has curves yet."));
  const { lastStep, low, high } = study.ranges[study.multiple];
  const fill = (button, cell, [wide, tall]) => {
    const picture = svgOf("svg", { width: wide - 4, height: tall - 4, viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
    picture.append(svgOf("path", { d: cell.rows.map((row) => pathOf(study.curve(kind, row), { lastStep, low, high })).join("") }));
    button.append(picture);
  };
  const told = (cell) => `${study.placeInWords(cell)}: ${kind.title.toLowerCase()} of ${cell.rows.length} runs`;
  drawMap(study, box, { name: `${kind.title} of every cell`, fill, told, high: (wide) => Math.max(26, Math.round(wide * 0.62)) });
  box.querySelectorAll("path").forEach((path) => { path.style.stroke = colourOf(kind.name); });
  const ends = [low, high].map((value) => shortly(kind.is_log ? 10 ** value : value));
  box.append(make("p", { className: "key" }, `Across each: steps 0 to ${lastStep.toLocaleString("en-US")}; up: ${kind.unit}, ${ends[0]} to ${ends[1]}${kind.is_log ? " (logarithmic)" : ""}.`));
}

function pathOf({ steps, values }, { lastStep, low, high }) {
  let d = "";
  for (let i = 0; i < steps.length; i++) {
    d += `${i ? "L" : "M"}${((100 * steps[i]) / lastStep).toFixed(1)} ${(98 - (96 * (values[i] - low)) / (high - low || 1)).toFixed(1)}`;
  }
  return d;
}

function colourOf(name) {
  return { test_accuracy: "var(--test)", train_accuracy: "var(--train)", restricted_loss: "var(--restricted)" }[name] || "var(--faint)";
}

function svgOf(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function showTip(button, words) {
  const tip = document.getElementById("tip");
  tip.textContent = words;
  tip.hidden = false;
  const box = button.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2), document.documentElement.clientWidth - tip.offsetWidth - 8);
  const above = box.top > tip.offsetHeight + 12;
  tip.style.left = `${left + window.scrollX}px`;
  tip.style.top = `${window.scrollY + (above ? box.top - tip.offsetHeight - 8 : box.bottom + 8)}px`;
}

function hideTip() {
  document.getElementById("tip").hidden = true;
}

// An element with properties and children, texts among them.
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== ""));
  return element;
}

// Time axes: their scale, and the names of the phases along them.

function axisOf(layout, name) {
  const key = name.replace(/^([xy])/, "$1axis");
  layout[key] = layout[key] || {};
  return layout[key];
}

// Ticks that are powers of ten belong only to a logarithmic axis.
function scaleValues(axis, isLog) {
  axis.type = isLog ? "log" : "linear";
  axis.powers = axis.powers ?? axis.dtick;
  axis.dtick = isLog ? axis.powers : undefined;
}

// Fewer whole numbers than this are ticked one by one (WHOLE_BELOW in figures/cells.py).
const FEW = 8;

// The part of the step axes that was chosen, or all of them; in the axes' own unit, which is the exponent of ten on a logarithmic one.
function stepRange(page) {
  const ends = page.window || (page.logSteps ? [page.firstStep, page.lastStep] : [0, page.lastStep || 1]);
  const [low, high] = page.logSteps ? ends.map((step) => Math.log10(Math.max(step, page.firstStep))) : ends;
  return high > low ? [low, high] : [low - 0.5, low + 0.5]; // between equal ends plotly would look for ticks without end
}

function scaleSteps(axis, page) {
  axis.type = page.logSteps ? "log" : "linear";
  axis.autorange = false;
  axis.range = stepRange(page);
  const byPowers = page.logSteps && powersIn(axis.range).length > 1;
  const last = page.window ? page.window[1] : page.lastStep;
  axis.tickformat = byPowers ? "~s" : ",d";
  // In few steps plotly would put ticks between them; inside a power of ten it chooses among all numbers.
  axis.dtick = byPowers ? 1 : last < FEW ? (page.logSteps ? "L1" : 1) : undefined;
  axis.nticks = byPowers ? undefined : 6;
}

// The exponents of the powers of ten in a part of a logarithmic axis.
function powersIn([low, high]) {
  return [...Array(13).keys()].filter((n) => n >= low - 1e-9 && n <= high + 1e-9);
}

// Where a step lies on the slider's strip, which is a step axis from end to end: 0 to 1.
function placeOf(step, page) {
  const [first, last] = page.logSteps ? [Math.log10(page.firstStep), Math.log10(page.lastStep)] : [0, page.lastStep || 1];
  const at = page.logSteps ? Math.log10(Math.max(step, page.firstStep)) : step;
  return last > first ? Math.min(1, Math.max(0, (at - first) / (last - first))) : 0;
}

// The step at a place of the strip.
function stepAt(place, page) {
  const at = Math.min(1, Math.max(0, place));
  if (!page.logSteps) return at * page.lastStep;
  return page.firstStep * (page.lastStep / page.firstStep) ** at;
}

// Round steps along the strip, a handful.
function ticksOf(page) {
  const { lastStep, firstStep } = page;
  if (page.logSteps) {
    const among = (digits) => [...Array(12).keys()].flatMap((n) => digits.map((digit) => digit * 10 ** n)).filter((step) => step >= firstStep && step <= lastStep);
    const found = [[1], [1, 2, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9]].map(among).find((steps) => steps.length > 1);
    return found || [firstStep, lastStep];
  }
  const rough = (lastStep || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const every = Math.max(1, power * [1, 2, 5, 10].find((n) => n * power >= rough));
  return [...Array(6).keys()].map((n) => n * every).filter((step) => step <= lastStep);
}

// The phases whose names fit into their bands on a step axis this many pixels wide.
function bandsThatFit(page, width) {
  const at = (step) => (page.logSteps ? Math.log10(Math.max(step, page.firstStep)) : step);
  const [first, last] = stepRange(page);
  const within = (step) => Math.min(last, Math.max(first, at(step)));
  return page.bands
    .filter(([label, from, to]) => ((within(to) - within(from)) / (last - first)) * width > 6.4 * label.length)
    .map(([label, from, to]) => ({ label, middle: (within(from) + within(to)) / 2 }));
}

// Their names just above a time axis; in a figure without a grid, whose margins are its own, inside.
function bandNames(cell, page) {
  const name = cell.stepAxes.find((known) => !cell.isMap(known));
  if (!name) return [];
  const [left, right] = axisOf(cell.layout, name).domain || [0, 1];
  const dark = page.theme === "dark";
  return bandsThatFit(page, plotWidth(cell.layout) * (right - left)).map(({ label, middle }) => ({
    text: label, x: middle, xref: name, y: 1, yref: `y${name.slice(1)} domain`, yanchor: cell.whole ? "top" : "bottom", showarrow: false,
    font: { size: 10, color: dark ? "#98a1ab" : "#5c646c" }, bgcolor: dark ? "rgba(21,25,30,.6)" : "rgba(251,251,249,.6)", borderpad: 1,
  }));
}

function plotWidth({ width = 700, margin = { l: 80, r: 80 } }) {
  return width - margin.l - margin.r;
}

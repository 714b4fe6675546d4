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

function stepRange(page) {
  return page.logSteps ? [Math.log10(page.firstStep), Math.log10(page.lastStep)] : [0, page.lastStep || 1];
}

function scaleSteps(axis, page) {
  axis.type = page.logSteps ? "log" : "linear";
  axis.autorange = false;
  axis.range = stepRange(page);
  axis.tickformat = page.logSteps ? "~s" : ",d";
  axis.dtick = page.logSteps || page.lastStep < FEW ? 1 : undefined; // in few steps plotly would put ticks between them
  axis.nticks = page.logSteps ? undefined : 6;
}

// The phases whose names fit into their bands on a step axis this many pixels wide.
function bandsThatFit(page, width) {
  const at = (step) => (page.logSteps ? Math.log10(Math.max(step, page.firstStep)) : step);
  const [first, last] = stepRange(page);
  return page.bands
    .filter(([label, from, to]) => ((at(to) - at(from)) / (last - first)) * width > 6.4 * label.length)
    .map(([label, from, to]) => ({ label, middle: (at(from) + at(to)) / 2 }));
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

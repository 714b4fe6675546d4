// Cells of a figure for the width there is: as many side by side as fit, the others below; gaps in pixels, whatever the width.

const GAP = { left: 58, right: 16, top: 34, bottom: 46, column: 64, row: 70, bareRow: 34, bareColumn: 26 };
const NARROWEST = { square: 132, plot: 250 };

// Sets axis domains, height, margins and legend of a layout made by interp.figures; other layouts only get their width.
function arrange(layout, traces, width) {
  layout.width = width;
  layout.autosize = false;
  const grid = layout.meta && layout.meta.grid;
  if (!grid) return;
  const inner = width - GAP.left - GAP.right;
  const lines = grid.flatMap((row) => breakRow(row, layout, inner));
  const legend = legendHeight(layout, traces, inner);
  const top = GAP.top + legend;
  let total = lines.reduce((sum, line) => sum + line.height, 0);
  lines.forEach((line, i) => { if (i) total += lines[i - 1].bare ? GAP.bareRow : GAP.row; });
  let y = 0;
  lines.forEach((line, i) => {
    if (i) y += lines[i - 1].bare ? GAP.bareRow : GAP.row;
    for (const cell of line.cells) {
      const [xaxis, yaxis] = axesOf(layout, cell.n);
      xaxis.domain = [cell.x / inner, Math.min(1, (cell.x + cell.width) / inner)];
      yaxis.domain = [Math.max(0, 1 - (y + cell.height) / total), 1 - y / total];
    }
    y += line.height;
  });
  layout.margin = { l: GAP.left, r: GAP.right, t: top, b: lines[lines.length - 1].bare ? 12 : GAP.bottom, autoexpand: false };
  layout.height = total + layout.margin.t + layout.margin.b;
  layout.legend = { ...layout.legend, x: -(GAP.left - 8) / inner, y: 1 + (top - 4) / total, yanchor: "top" };
}

function axesOf(layout, n) {
  const suffix = n === 1 ? "" : String(n);
  return [layout["xaxis" + suffix], layout["yaxis" + suffix]];
}

// One row of the grid as one or more lines of cells, each with its place in pixels.
function breakRow(row, layout, inner) {
  const bare = row.cells.every((cell) => axesOf(layout, cell.n)[0].showticklabels === false);
  const gap = bare ? GAP.bareColumn : GAP.column;
  const squares = row.cells.every((cell) => cell.square);
  const least = (cell) => (cell.square ? (squares ? NARROWEST.square : row.height) : NARROWEST.plot);
  const needed = row.cells.reduce((sum, cell) => sum + least(cell), 0) + gap * (row.cells.length - 1);
  if (needed <= inner || row.cells.length === 1) return [placeLine(row, row.cells, { gap, inner, bare })];
  if (!squares) return row.cells.map((cell) => placeLine(row, [cell], { gap, inner, bare }));
  const perLine = Math.max(1, Math.floor((inner + gap) / (NARROWEST.square + gap)));
  const count = Math.ceil(row.cells.length / perLine);
  const even = Math.ceil(row.cells.length / count);
  return Array.from({ length: count }, (_, i) => placeLine(row, row.cells.slice(i * even, (i + 1) * even), { gap, inner, bare, slots: even }));
}

function placeLine(row, cells, { gap, inner, bare, slots = cells.length }) {
  const free = inner - gap * (slots - 1);
  const allSquare = cells.every((cell) => cell.square);
  const side = Math.min(row.height, allSquare ? free / slots : free);
  const rest = free - side * cells.filter((cell) => cell.square).length;
  const weights = cells.reduce((sum, cell) => sum + (cell.square ? 0 : cell.weight), 0);
  let x = 0;
  const placed = cells.map((cell) => {
    const width = cell.square ? side : (rest * cell.weight) / weights;
    const place = { n: cell.n, x, width, height: cell.square ? side : row.height };
    x += width + gap;
    return place;
  });
  return { cells: placed, height: allSquare ? side : row.height, bare };
}

// Height of the legend, from an estimate of its items' widths: plotly would otherwise take it from the plots.
function legendHeight(layout, traces, inner) {
  if (!layout.showlegend) return 0;
  const items = traces.filter((trace) => trace.showlegend !== false && trace.name).map((trace) => 52 + 6.6 * trace.name.length);
  const widest = Math.max(0, ...items);
  const perLine = Math.max(1, Math.floor((inner + GAP.left) / widest));
  return items.length ? 6 + 20 * Math.ceil(items.length / perLine) : 0;
}

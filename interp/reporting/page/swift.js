// While the slider moves, plots are drawn here on a canvas over the graph, which takes a millisecond where plotly takes fifty; when it
// rests, plotly draws the same and the canvas goes. Only what is known to look the same is drawn; all else waits for plotly.

class Swift {
  constructor(cell) {
    this.cell = cell;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "swift";
    this.canvas.hidden = true;
    cell.element.append(this.canvas);
  }

  // Can this cell be drawn here? Its axes must hold still, its traces be of the kinds below.
  static can({ data, layout, whole }) {
    const still = (axis = {}) => axis.autorange === false && (axis.type || "linear") === "linear";
    return !whole && still(layout.xaxis) && still(layout.yaxis) && data.every((trace) => trace.visible === false || Swift.known(trace));
  }

  static known(trace) {
    const numbers = (values) => values === undefined || ArrayBuffer.isView(values) || (Array.isArray(values) && values.every((value) => value === null || typeof value === "number"));
    const scales = [trace.colorscale, trace.marker?.colorscale].filter((scale) => scale !== undefined);
    const plain = (scale) => Array.isArray(scale) && scale.every(([, colour]) => /^#[0-9a-f]{6}$/i.test(colour));
    if (!numbers(trace.x) || !numbers(trace.y) || !scales.every(plain)) return false;
    if (trace.type === "heatmap") return Number.isFinite(trace.zmin) && Number.isFinite(trace.zmax) && !trace.zsmooth && !trace.text;
    if (trace.type === "bar") return trace.orientation === "h" && !trace.base && !trace.text;
    const shape = trace.line?.shape ?? "linear";
    return trace.type === "scatter" && /^(lines|markers|lines\+markers)$/.test(trace.mode) && !trace.fill && shape === "linear" && typeof (trace.marker?.size ?? 0) === "number";
  }

  draw() {
    const axes = this.cell.axes("x");
    if (!axes) return;
    const { x, y } = axes;
    const ratio = window.devicePixelRatio || 1;
    const { canvas } = this;
    const [width, height] = [Math.round(x._length * ratio), Math.round(y._length * ratio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    Object.assign(canvas.style, { left: `${x._offset}px`, top: `${y._offset}px`, width: `${x._length}px`, height: `${y._length}px` });
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, x._length, y._length);
    const order = { heatmap: 0, bar: 1, scatter: 2 };
    const traces = this.cell.data.filter((trace) => trace.visible !== false).sort((a, b) => order[a.type] - order[b.type]);
    for (const trace of traces) this[trace.type](pen, trace, (value) => (value === null ? NaN : x.l2p(value)), (value) => (value === null ? NaN : y.l2p(value)));
    this.show(true);
  }

  show(shown) {
    this.canvas.hidden = !shown;
    this.cell.graph.classList.toggle("covered", shown);
  }

  heatmap(pen, trace, x, y) {
    const { z, zmin, zmax } = trace;
    const [rows, columns] = [z.length, z[0].length];
    const image = new ImageData(columns, rows);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = shades(trace.colorscale || this.cell.page.templates[this.cell.page.theme].data.heatmap[0].colorscale);
    const scale = 255 / (zmax - zmin || 1);
    for (let i = 0; i < rows; i++) {
      const line = z[i];
      const at = (rows - 1 - i) * columns; // the first row is the lowest
      for (let j = 0; j < columns; j++) {
        const value = line[j];
        if (value === value) pixels[at + j] = colours[Math.max(0, Math.min(255, Math.round((value - zmin) * scale)))];
      }
    }
    this.small = this.small || document.createElement("canvas");
    Object.assign(this.small, { width: columns, height: rows });
    this.small.getContext("2d").putImageData(image, 0, 0);
    const [left, right] = ends(trace.x, columns).map(x);
    const [bottom, top] = ends(trace.y, rows).map(y);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.small, left, top, right - left, bottom - top);
  }

  bar(pen, trace, x, y) {
    const { x: lengths, y: places, marker } = trace;
    const width = trace.width ?? 0.8 * Math.abs(places.length > 1 ? places[1] - places[0] : 1);
    const zero = x(0);
    for (let i = 0; i < places.length; i++) {
      const [top, bottom] = [y(places[i] + width / 2), y(places[i] - width / 2)];
      pen.fillStyle = Array.isArray(marker.color) ? marker.color[i] : marker.color;
      pen.fillRect(zero, top, x(lengths[i]) - zero, bottom - top);
    }
  }

  scatter(pen, trace, x, y) {
    const xs = Array.from(trace.x, x);
    const ys = Array.from(trace.y, y);
    if (trace.mode.includes("lines")) {
      const { color = trace.marker?.color, width = 2, dash } = trace.line || {};
      pen.beginPath();
      let on = false;
      xs.forEach((at, i) => {
        const there = Number.isFinite(at) && Number.isFinite(ys[i]);
        if (there) on ? pen.lineTo(at, ys[i]) : pen.moveTo(at, ys[i]);
        on = there;
      });
      const unit = Math.max(width, 3);
      const parts = { dash: [3, 3], dot: [1, 1], dashdot: [3, 1, 1, 1], longdash: [5, 5], longdashdot: [5, 2, 1, 2] }[dash] || [];
      pen.setLineDash(/px/.test(dash) ? dash.split(",").map(parseFloat) : parts.map((part) => part * unit));
      Object.assign(pen, { strokeStyle: color, lineWidth: width, globalAlpha: 1 });
      pen.stroke();
      pen.setLineDash([]);
    }
    if (trace.mode.includes("markers")) {
      const { size = 6, color, opacity = 1, colorscale, cmin = 0, cmax = 1 } = trace.marker;
      const many = Array.isArray(color) || ArrayBuffer.isView(color);
      const colours = many && colorscale ? shades(colorscale, true) : null;
      pen.globalAlpha = opacity;
      for (let i = 0; i < xs.length; i++) {
        if (!Number.isFinite(xs[i]) || !Number.isFinite(ys[i])) continue;
        const share = many ? Math.max(0, Math.min(255, Math.round((255 * (color[i] - cmin)) / (cmax - cmin)))) : 0;
        pen.fillStyle = colours ? colours[share] : many ? color[i] : color;
        pen.beginPath();
        pen.arc(xs[i], ys[i], size / 2, 0, 2 * Math.PI);
        pen.fill();
      }
      pen.globalAlpha = 1;
    }
  }
}

// The ends of a map's axis: half a cell beyond the first and the last place.
function ends(places, count) {
  if (!places) return [-0.5, count - 0.5];
  const half = count > 1 ? (places[count - 1] - places[0]) / (count - 1) / 2 : 0.5;
  return [places[0] - half, places[count - 1] + half];
}

// 256 colours of a colour scale [[0, "#..."], ..., [1, "#..."]]: as 32-bit pixels, or as texts. Made once for each scale.
const SHADES = new Map();

function shades(scale, texts = false) {
  const key = `${texts} ${JSON.stringify(scale)}`;
  if (SHADES.has(key)) return SHADES.get(key);
  const parse = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const stops = scale.map(([at, colour]) => [at, parse(colour)]);
  const made = Array.from({ length: 256 }, (_, i) => {
    const share = i / 255;
    const next = Math.max(1, stops.findIndex(([at]) => at >= share));
    const [[from, low], [to, high]] = [stops[next - 1], stops[next]];
    const part = to > from ? (share - from) / (to - from) : 1;
    const [red, green, blue] = low.map((channel, c) => Math.round(channel + part * (high[c] - channel)));
    return texts ? `rgb(${red},${green},${blue})` : ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
  SHADES.set(key, texts ? made : Uint32Array.from(made));
  return SHADES.get(key);
}

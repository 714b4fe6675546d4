// The neuron explorer: a panel whose two maps are computed here, from the tables of the checkpoint that is shown.

class Explorer extends Panel {
  constructor(element, source, page) {
    super(element, source, page);
    this.tables = source.extra;
    this.neuron = 0;
    this.controls();
    page.on("neuron", (neuron) => this.choose(neuron));
  }

  controls() {
    const box = this.element.querySelector(".legend");
    const label = document.createElement("label");
    this.input = Object.assign(document.createElement("input"), { type: "number", min: 0, max: this.tables.neurons - 1, value: 0 });
    label.append("neuron ", this.input);
    this.output = Object.assign(document.createElement("output"), { className: "about" });
    box.append(label, this.output);
    box.classList.add("chooser");
    this.input.addEventListener("change", () => this.choose(Number(this.input.value)));
  }

  choose(neuron) {
    if (!Number.isInteger(neuron)) {
      this.input.value = this.neuron; // what is drawn
      return;
    }
    this.neuron = Math.min(Math.max(neuron, 0), this.tables.neurons - 1);
    this.input.value = this.neuron;
    for (const cell of this.cells) if (cell.shown >= 0) cell.refresh(this.page.index);
  }

  // Both cells call this; the maps are made once for both, and drawn only where they have changed.
  move(cell, index) {
    const at = nearest(this.tables.steps, this.page.steps[index]);
    const key = `${at} ${this.neuron}`;
    if (this.made?.key !== key) {
      const map = activation(this.tables, at, this.neuron, this.page.blocks);
      this.made = { key, map, ...fitInOrder(map, this.tables.p, this.tables.order) };
      this.output.textContent = this.about(this.tables.steps[at]);
      for (const bar of this.scales) bar.say(this.made.range.zmin, this.made.range.zmax);
    }
    if (cell.made === this.made) return false;
    cell.made = this.made;
    const first = cell.n === 1;
    const trace = { ...cell.data[0], z: rows(first ? this.made.map : this.made.fit, [this.tables.p, this.tables.p]), ...this.made.range };
    cell.data = [trace];
    this.word(cell);
    return true;
  }

  // An empty map says why it is empty.
  word(cell) {
    cell.word = cell.word || cell.element.appendChild(Object.assign(document.createElement("p"), { className: "word" }));
    cell.word.hidden = this.made.frequency > 0;
    cell.word.textContent = this.remark;
  }

  get remark() {
    if (this.made.frequency > 0) return "";
    const { order, p } = this.tables; // a multiplication leaves out the pairs with 0, where the neuron may behave differently
    const value = this.made.map[order ? order[0] * (p + 1) : 0];
    return `dead at this step: ${value === 0 ? 0 : readable(value)} for every pair${order?.length < p ? " without 0" : ""}`;
  }

  // The same on a picture that is downloaded.
  get remarks() {
    const { remark } = this;
    const at = (n) => ({ text: remark, xref: `x${n} domain`, yref: `y${n} domain`, x: 0.5, y: 0.5, showarrow: false });
    return remark ? ["", "2"].map(at) : [];
  }

  at() {
    return `Neuron ${this.neuron}`; // its legend says the step
  }

  about(step) {
    const { frequency, share } = this.made;
    const part = share > 0.999 && share < 0.99999 ? "> 99.9" : (100 * share).toFixed(1).replace(/\.0$/, "");
    const found = frequency ? `frequency ${frequency} explains ${part} % of it` : "it is dead";
    return this.page.source.knows_step ? `at step ${step.toLocaleString("en-US")}: ${found}.` : `${found}.`;
  }

  get moving() {
    return true;
  }
}

// One neuron's activation for all pairs at one step, row-major; the formula is that of interp/networks/neuron_tables.py.
function activation(tables, at, neuron, blocks) {
  const { p, heads } = tables;
  const [, , rows, depth] = blocks.shape(tables.read);
  const read = blocks.mix(tables.read, at, 0, heads * rows * depth);
  const write = blocks.mix(tables.write, at, neuron * heads * depth, heads * depth);
  const columns = blocks.shape(tables.base)[2];
  const base = blocks.mix(tables.base, at, neuron * columns, columns);
  const positions = tables.equals ? 3 : 2;
  const map = new Float32Array(p * p);
  for (let a = 0; a < p; a++) for (let b = 0; b < p; b++) map[a * p + b] = base[columns > 1 ? b : 0];
  for (let head = 0; head < heads; head++) {
    const value = (row) => {
      let sum = 0;
      for (let e = 0; e < depth; e++) sum += read[(head * rows + row) * depth + e] * write[head * depth + e];
      return sum;
    };
    const [atA, atB, rest] = Array.from({ length: 3 }, (_, place) => (place < positions ? value(rows - positions + place) : 0));
    const values = Float32Array.from({ length: p }, (_, token) => value(token));
    const equals = tables.equals ? value(p) + rest : 0;
    const [toA, other] = tables.attention[head].map((block) => blocks.at(block, at));
    const toB = other || toA.map((row) => row.map((share) => tables.total - share)); // without `=` there is nothing else to look at
    for (let a = 0; a < p; a++) {
      const [rowA, rowB, ofA] = [toA[a], toB[a], values[a] + atA];
      for (let b = 0; b < p; b++) map[a * p + b] += rowA[b] * ofA + rowB[b] * (values[b] + atB) + (tables.total - rowA[b] - rowB[b]) * equals;
    }
  }
  return map.map(tables.activation === "relu" ? (x) => Math.max(0, x) : gelu);
}

// x times the normal distribution function, by Abramowitz and Stegun 7.1.26 (error below 2e-7).
function gelu(x) {
  const z = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * z);
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-z * z);
  return x * (x > 0 ? 1 - tail / 2 : tail / 2);
}

// The best fit where a and b are counted by their places in an order of residues; residues that are not in it are not fitted.
function fitInOrder(map, p, order) {
  if (!order) return bestFit(map, p);
  const n = order.length;
  const found = bestFit(Float32Array.from({ length: n * n }, (_, i) => map[order[Math.floor(i / n)] * p + order[i % n]]), n);
  const fit = new Float32Array(p * p).fill(NaN);
  found.fit.forEach((value, i) => (fit[order[Math.floor(i / n)] * p + order[i % n]] = value));
  return { ...found, fit, range: rangeOf(map) };
}

// From 0, or the least value if that is below, to the largest. (As arguments of one function they would be too many.)
function rangeOf(map) {
  let [zmin, zmax] = [0, 1e-9];
  for (const value of map) {
    if (value < zmin) zmin = value;
    if (value > zmax) zmax = value;
  }
  return { zmin, zmax };
}

// Mean plus projection on the waves of the one frequency that explains most; these waves are functions of a, b, a+b or a-b.
function bestFit(map, p) {
  const mean = map.reduce((sum, x) => sum + x, 0) / map.length;
  const total = map.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  const range = rangeOf(map);
  const fit = new Float32Array(p * p).fill(mean);
  if (total <= 1e-9 * Math.max(1, mean * mean) * map.length) return { fit, frequency: 0, share: NaN, range };
  const lines = [(a) => a, (a, b) => b, (a, b) => (a + b) % p, (a, b) => (a - b + p) % p];
  const sums = lines.map((line) => {
    const sum = new Float64Array(p);
    for (let a = 0; a < p; a++) for (let b = 0; b < p; b++) sum[line(a, b)] += map[a * p + b] - mean;
    return sum;
  });
  const circle = [Math.cos, Math.sin].map((wave) => Float64Array.from({ length: p }, (_, s) => wave((2 * Math.PI * s) / p)));
  let best = { share: -1 };
  for (let k = 1; k <= Math.floor(p / 2); k++) {
    const waves = sums.map((sum) => coefficients(sum, k, p, circle));
    const energy = waves.reduce((all, wave, i) => all + (2 * k === p && i === 3 ? 0 : wave.energy), 0); // p/2: a+b and a-b are one
    if (energy / total > best.share) best = { share: energy / total, frequency: k, waves };
  }
  lines.forEach((line, i) => {
    if (2 * best.frequency === p && i === 3) return;
    const { cos, sin } = best.waves[i];
    const wave = Float64Array.from({ length: p }, (_, s) => cos * circle[0][(best.frequency * s) % p] + sin * circle[1][(best.frequency * s) % p]);
    for (let a = 0; a < p; a++) for (let b = 0; b < p; b++) fit[a * p + b] += wave[line(a, b)];
  });
  return { fit, range, frequency: best.frequency, share: best.share };
}

// Amplitudes and energy of one frequency in a function given by its sums over the p pairs of each line.
function coefficients(sum, k, p, circle) {
  let [cos, sin] = [0, 0];
  for (let s = 0; s < p; s++) {
    cos += sum[s] * circle[0][(k * s) % p];
    sin += sum[s] * circle[1][(k * s) % p];
  }
  const norm = 2 * k === p ? p * p : (p * p) / 2; // of cos^2 over all pairs
  return { cos: cos / norm, sin: 2 * k === p ? 0 : sin / norm, energy: (cos * cos + (2 * k === p ? 0 : sin * sin)) / norm };
}

// The neuron explorer: a panel whose two maps are computed here, from the tables of the nearest landmark.

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
    if (!Number.isInteger(neuron)) return;
    this.neuron = Math.min(Math.max(neuron, 0), this.tables.neurons - 1);
    this.input.value = this.neuron;
    for (const cell of this.cells) if (cell.shown >= 0) cell.refresh(this.page.index);
  }

  // Both cells call this; the maps are made once for both, and drawn only where they are others than before.
  move(cell, index) {
    const step = this.page.steps[index];
    const near = this.tables.landmarks[nearest(this.tables.landmarks.map((landmark) => landmark.step), step)];
    const key = `${near.step} ${this.neuron}`;
    if (this.made?.key !== key) {
      const map = activation(near, this.neuron, this.tables.p, this.page.blocks);
      this.made = { key, map, ...bestFit(map, this.tables.p) };
      this.output.textContent = this.about(near);
    }
    if (cell.made === this.made) return false;
    cell.made = this.made;
    const first = cell.n === 1;
    const trace = { ...cell.data[0], z: rows(first ? this.made.map : this.made.fit, [this.tables.p, this.tables.p]), ...this.made.range };
    cell.data = [trace];
    return true;
  }

  about({ step, label }) {
    const { frequency, share } = this.made;
    const found = frequency ? `frequency ${frequency} explains ${(100 * share).toFixed(1)} % of it` : "it is the same for all pairs (dead)";
    const kept = this.tables.landmarks.map((one) => one.step.toLocaleString("en-US")).join(", ");
    return `at step ${step.toLocaleString("en-US")} (${label}): ${found}. Kept: steps ${kept}.`;
  }

  get moving() {
    return true;
  }
}

// One neuron's activation for all pairs, row-major; the formula is that of interp/neuron_tables.py.
function activation(tables, neuron, p, blocks) {
  const [heads2, , ] = blocks.shape(tables.attention);
  const [neurons] = blocks.shape(tables.size);
  const values = blocks.values(tables.values);
  const size = blocks.values(tables.size)[neuron];
  const equals = blocks.values(tables.equals);
  const base = blocks.values(tables.base);
  const ownRow = blocks.shape(tables.base)[0] > 1;
  const map = new Float32Array(p * p);
  for (let a = 0; a < p; a++) for (let b = 0; b < p; b++) map[a * p + b] = base[(ownRow ? b : 0) * neurons + neuron];
  for (let head = 0; head < heads2 / 2; head++) {
    const [toA, toB] = [blocks.at(tables.attention, 2 * head), blocks.at(tables.attention, 2 * head + 1)];
    const value = (position, token) => size * values[((2 * head + position) * p + token) * neurons + neuron];
    const rest = equals[head * neurons + neuron];
    for (let a = 0; a < p; a++) {
      for (let b = 0; b < p; b++) {
        const [x, y] = [toA[a][b], toB[a][b]];
        map[a * p + b] += x * value(0, a) + y * value(1, b) + (tables.total - x - y) * rest;
      }
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

// Mean plus projection on the waves of the one frequency that explains most; these waves are functions of a, b, a+b or a-b.
function bestFit(map, p) {
  const mean = map.reduce((sum, x) => sum + x, 0) / map.length;
  const total = map.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  const range = { zmin: Math.min(0, ...map), zmax: Math.max(1e-9, ...map) };
  const fit = new Float32Array(p * p).fill(mean);
  if (total <= 1e-9 * Math.max(1, mean * mean) * map.length) return { fit, frequency: 0, share: NaN, range };
  const lines = [(a) => a, (a, b) => b, (a, b) => (a + b) % p, (a, b) => (a - b + p) % p];
  const sums = lines.map((line) => {
    const sum = new Float64Array(p);
    for (let a = 0; a < p; a++) for (let b = 0; b < p; b++) sum[line(a, b)] += map[a * p + b] - mean;
    return sum;
  });
  let best = { share: -1 };
  for (let k = 1; k <= Math.floor(p / 2); k++) {
    const waves = sums.map((sum) => coefficients(sum, k, p));
    const energy = waves.reduce((all, wave, i) => all + (2 * k === p && i === 3 ? 0 : wave.energy), 0); // p/2: a+b and a-b are one
    if (energy / total > best.share) best = { share: energy / total, frequency: k, waves };
  }
  for (let a = 0; a < p; a++) {
    for (let b = 0; b < p; b++) {
      lines.forEach((line, i) => {
        if (2 * best.frequency === p && i === 3) return;
        const angle = (2 * Math.PI * ((best.frequency * line(a, b)) % p)) / p;
        fit[a * p + b] += best.waves[i].cos * Math.cos(angle) + best.waves[i].sin * Math.sin(angle);
      });
    }
  }
  return { fit, range, frequency: best.frequency, share: best.share };
}

// Amplitudes and energy of one frequency in a function given by its sums over the p pairs of each line.
function coefficients(sum, k, p) {
  let [cos, sin] = [0, 0];
  for (let s = 0; s < p; s++) {
    const angle = (2 * Math.PI * ((k * s) % p)) / p;
    cos += sum[s] * Math.cos(angle);
    sin += sum[s] * Math.sin(angle);
  }
  const norm = 2 * k === p ? p * p : (p * p) / 2; // of cos^2 over all pairs
  return { cos: cos / norm, sin: 2 * k === p ? 0 : sin / norm, energy: (cos * cos + (2 * k === p ? 0 : sin * sin)) / norm };
}

// The transport: slider, buttons, readings at this step, and the run at a glance behind the slider.

class Transport {
  constructor(page) {
    this.page = page;
    this.slider = document.getElementById("slider");
    this.slider.max = page.steps.length - 1;
    this.slider.addEventListener("input", () => page.goTo(Number(this.slider.value)));
    document.getElementById("previous").addEventListener("click", () => page.goTo(page.index - 1));
    document.getElementById("next").addEventListener("click", () => page.goTo(page.index + 1));
    this.fill();
    this.sketch();
  }

  fill() {
    const { readout, blocks } = this.page;
    const list = document.getElementById("readout");
    list.replaceChildren();
    this.title = readout.title; // of readings that all say the same thing, each of another run
    if (this.title) Object.assign(list, { className: "readout runs" }).dataset.title = this.title;
    this.readings = readout.readings.map((one) => ({ ...one, values: blocks.values(one.block), cell: one.said ? this.cell(one) : null }));
  }

  cell({ label, kind, look }) {
    const line = document.createElement("div");
    const term = document.createElement("dt");
    const value = document.createElement("dd");
    if (look) term.append(stroke(look.colour, look.dash));
    term.append(label);
    term.title = look ? label : ""; // a long name is cut short
    value.className = kind;
    line.append(term, value);
    document.getElementById("readout").append(line);
    return value;
  }

  show(index) {
    const step = this.page.steps[index];
    const phase = this.page.phaseAt(step);
    this.slider.value = index;
    document.getElementById("now").textContent = step.toLocaleString("en-US");
    document.getElementById("phase").textContent = phase;
    document.getElementById("previous").disabled = index === 0;
    document.getElementById("next").disabled = index === this.page.steps.length - 1;
    for (const { values, cell, share } of this.readings) if (cell) cell.textContent = reading(values[index], share);
    const said = this.readings.filter(({ spoken }) => spoken).map(({ spoken, values, share }) => `${spoken} ${inWords(values[index], share)}`);
    const readings = said.length && this.title ? [`${this.title}: ${said.join(", ")}`] : said;
    this.slider.setAttribute("aria-valuetext", [`step ${step}`, phase, ...readings].filter(Boolean).join(", "));
  }

  // Accuracies (of several runs, each in its colour), and the restricted loss as a share of its start, over the checkpoints, with the
  // phases behind them.
  sketch() {
    const { steps, bands } = this.page;
    const last = Math.max(1, steps.length - 1);
    const x = (step) => {
      const i = steps.findIndex((known) => known >= step);
      return (1000 * (i < 0 ? last : i)) / last;
    };
    const parts = bands.map(([, from, to, colour]) => svg("rect", {
      x: x(from), width: Math.max(0, x(to) - x(from)), y: 0, height: 100, fill: colour, opacity: 0.14,
    }));
    for (const { values, sketch, kind, look } of this.readings) {
      if (!sketch) continue;
      const scale = sketch === "share" ? 1 : values[0] || 1;
      let d = "";
      values.forEach((value, i) => {
        if (Number.isFinite(value)) d += `${d ? "L" : "M"}${((1000 * i) / last).toFixed(1)} ${(96 - 90 * Math.min(1, value / scale)).toFixed(1)}`;
      });
      const pen = { stroke: look ? look.colour : "currentColor", "stroke-dasharray": (look && LEGEND_DASHES[look.dash]) || "none" };
      parts.push(svg("path", { d, class: kind, fill: "none", ...pen, "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }));
    }
    document.getElementById("spark").replaceChildren(...parts);
  }
}

function svg(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// As it is read aloud: a dash would be silent.
function inWords(value, share) {
  return Number.isFinite(value) ? reading(value, share) : "not measured";
}

function reading(value, share) {
  if (!Number.isFinite(value)) return "–";
  if (share) return value > 0.999 && value < 1 ? "> 99.9 %" : `${(100 * value).toFixed(value > 0 && value < 0.0995 ? 1 : value > 0.99 && value < 1 ? 1 : 0)} %`;
  if (value === 0) return "0";
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5 ? value.toExponential(1).replace("e-", "e−") : String(Number(value.toPrecision(3)));
}

// The transport: slider, buttons, readings at this step, and the run at a glance behind the slider, on the figures' own axis of steps.

// Milliseconds that a checkpoint is shown for while the page plays: nothing is drawn between checkpoints.
const BEAT = 160;

class Transport {
  constructor(page) {
    this.page = page;
    this.slider = document.getElementById("slider");
    this.slider.max = page.steps.length - 1;
    this.slider.addEventListener("input", () => this.choose(Number(this.slider.value)));
    document.getElementById("previous").addEventListener("click", () => this.choose(page.index - 1));
    document.getElementById("next").addEventListener("click", () => this.choose(page.index + 1));
    document.getElementById("play").addEventListener("click", () => this.play(!this.playing));
    this.listen(document.querySelector(".track"));
    document.body.classList.toggle("single", page.steps.length === 1); // nothing to move to
    this.fill();
    this.sketch();
  }

  // The strip is dragged by its steps; the range input in it is for keys, and for those who hear the page.
  listen(track) {
    const go = (event) => {
      const box = document.getElementById("spark").getBoundingClientRect();
      this.choose(nearest(this.page.steps, stepAt((event.clientX - box.left) / box.width, this.page)));
    };
    track.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      track.setPointerCapture(event.pointerId);
      this.slider.focus({ preventScroll: true, focusVisible: false });
      go(event);
    });
    track.addEventListener("pointermove", (event) => { if (track.hasPointerCapture(event.pointerId)) go(event); });
  }

  // Whoever chooses a checkpoint ends what plays.
  choose(index) {
    this.play(false);
    this.page.goTo(index);
  }

  // One checkpoint after the other, as fast as they can be drawn and no faster than BEAT; from the start if it stands at the end.
  play(on) {
    const { page } = this;
    clearTimeout(this.beat);
    this.playing = on && page.steps.length > 1;
    const button = document.getElementById("play");
    button.setAttribute("aria-pressed", this.playing);
    button.textContent = this.playing ? "❚❚" : "▶";
    if (!this.playing) return;
    if (page.index === page.steps.length - 1) page.goTo(0);
    const next = () => {
      if (page.index === page.steps.length - 1) return this.play(false);
      page.goTo(page.index + 1);
      this.beat = setTimeout(next, BEAT);
    };
    this.beat = setTimeout(next, BEAT);
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
    document.getElementById("thumb").style.left = `calc(9px + (100% - 18px) * ${placeOf(step, this.page).toFixed(5)})`;
    for (const link of document.querySelectorAll("[data-stop]")) {
      if (nearest(this.page.steps, Number(link.dataset.step)) === index) link.setAttribute("aria-current", "step");
      else link.removeAttribute("aria-current");
    }
    document.getElementById("now").textContent = this.page.stepInWords(step);
    document.getElementById("phase").textContent = phase;
    // Not `disabled`, by which a button that was just pressed would lose the focus.
    document.getElementById("previous").setAttribute("aria-disabled", index === 0);
    document.getElementById("next").setAttribute("aria-disabled", index === this.page.steps.length - 1);
    for (const { values, cell, share } of this.readings) if (cell) cell.textContent = reading(values[index], share);
    const said = this.readings.filter(({ spoken }) => spoken).map(({ spoken, values, share }) => `${spoken} ${inWords(values[index], share)}`);
    const readings = said.length && this.title ? [`${this.title}: ${said.join(", ")}`] : said;
    this.slider.setAttribute("aria-valuetext", [`step ${this.page.source.knows_step ? step : "unknown"}`, phase, ...readings].filter(Boolean).join(", "));
  }

  // Accuracies (of several runs, each in its colour), and the restricted loss as a share of its start, over the checkpoints, with the
  // phases behind them.
  sketch() {
    const { steps, bands } = this.page;
    const x = (step) => 1000 * placeOf(step, this.page);
    const parts = bands.map(([, from, to, colour]) => svg("rect", {
      x: x(from), width: Math.max(0, x(to) - x(from)), y: 0, height: 100, fill: colour, opacity: 0.14,
    }));
    for (const { values, sketch, kind, look } of this.readings) {
      if (!sketch) continue;
      const scale = sketch === "share" ? 1 : values[0] || 1;
      let d = "";
      values.forEach((value, i) => {
        if (Number.isFinite(value)) d += `${d ? "L" : "M"}${x(steps[i]).toFixed(1)} ${(96 - 90 * Math.min(1, value / scale)).toFixed(1)}`;
      });
      const pen = { stroke: look ? look.colour : "currentColor", "stroke-dasharray": (look && LEGEND_DASHES[look.dash]) || "none" };
      parts.push(svg("path", { d, class: kind, fill: "none", ...pen, "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }));
    }
    // Of a single step beside 0 there is no logarithmic axis.
    document.getElementById("stepscale").style.display = this.page.lastStep > this.page.firstStep ? "" : "none";
    document.getElementById("spark").replaceChildren(...parts);
    document.getElementById("ticks").replaceChildren(...ticksOf(this.page).map((step) => {
      const place = placeOf(step, this.page);
      const tick = Object.assign(document.createElement("span"), { textContent: step.toLocaleString("en-US"), className: place > 0.94 ? "last" : "" });
      tick.style.left = `${100 * place}%`;
      return tick;
    }));
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

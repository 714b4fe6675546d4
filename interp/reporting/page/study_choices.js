// The bar of choices and those beside the figures: selects and boxes that change what the study shows, and have it drawn anew.

class Choices {
  constructor(study) {
    this.study = study;
  }

  draw() {
    const { study } = this;
    const axes = study.axes.map(({ label }, i) => [i, label]);
    const free = (axis) => axis === study.x || axis === study.y;
    const bar = [];
    if (study.axes.length > 1) {
      bar.push(this.pick("across", axes, study.x, (value) => { if (Number(value) === study.y) study.y = study.x; study.x = Number(value); }));
      bar.push(this.pick("up", [[-1, "nothing"], ...axes.filter(([i]) => i !== study.x)], study.y, (value) => { study.y = Number(value); }));
    }
    study.axes.forEach((axis, i) => {
      if (!free(i) && axis.texts.length > 1) bar.push(this.pick(`${axis.label} held at`, axis.texts.map((text, at) => [at, text]), study.held[i], (value) => { study.held[i] = Number(value); }));
    });
    bar.push(this.pick("99 % reached", [["", "for good"], ["_first", "first crossing"]], study.mark, (value) => { study.mark = value; }));
    document.getElementById("choices").replaceChildren(...bar);
    const times = [["grokked", "grokked"], ["memorized", "memorized"], ["delay", "delay between them"]];
    const plain = study.source.questions.filter(({ name }) => !name.endsWith("_first")).map(({ name, title }) => [name, title.replace(" (for good)", "")]);
    this.fill("choose-question", this.pick("shown", plain, study.asked, (value) => { study.asked = value; }));
    this.fill("choose-survival", this.pick("waiting for", times, study.timeAsked, (value) => { study.timeAsked = value; }), this.pick("by", axes, study.by, (value) => { study.by = Number(value); }), ...this.heldPicks(study.by));
    const lawful = study.source.laws.axes.map((i) => [i, study.axes[i]?.label]);
    this.fill("choose-law", this.pick("time", [times[0], times[2]], study.lawAsked, (value) => { study.lawAsked = value; }), this.pick("along", lawful, study.along, (value) => { study.along = Number(value); }), ...this.heldPicks(study.along));
    const facts = study.source.columns.filter(({ name }) => name !== "run" && name !== "why").map(({ name }) => [name, said(name)]);
    this.fill("choose-facts",
      this.pick("across", facts, study.factX, (value) => { study.factX = value; }), this.check("logarithmic across", study.logX, (on) => { study.logX = on; }),
      this.pick("up", facts, study.factY, (value) => { study.factY = value; }), this.check("logarithmic up", study.logY, (on) => { study.logY = on; }),
      ...(axes.length ? [this.pick("colour", [[-1, "one"], ...axes], study.colour, (value) => { study.colour = Number(value); })] : []));
    this.fill("choose-multiple", this.pick("curve", study.curves.map(({ title }, i) => [i, title]), study.multiple, (value) => { study.multiple = Number(value); }));
    this.fillRows();
  }

  // Values at which the axes are held that the bar does not hold, since they are axes of the map.
  heldPicks(along) {
    const { study } = this;
    return study.axes.flatMap((axis, i) => {
      if (i === along || (i !== study.x && i !== study.y) || axis.texts.length < 2) return [];
      return [this.pick(`at ${axis.label}`, axis.texts.map((text, at) => [at, text]), study.held[i], (value) => { study.held[i] = Number(value); })];
    });
  }

  fillRows() {
    const { study } = this;
    const states = [...new Set(study.column("status").values)];
    const search = make("input", { type: "search", value: study.filter });
    search.addEventListener("input", () => { study.filter = search.value; study.rowsShown = AT_FIRST; drawRows(study); });
    this.fill("choose-runs", make("label", { className: "pick" }, "filter", search),
      this.pick("status", [["", "all"], ...states.map((state) => [state, state])], study.status, (value) => { study.status = value; }),
      this.check("only the chosen cell", study.onlyCell, (on) => { study.onlyCell = on; }));
  }

  fill(id, ...children) {
    document.getElementById(id)?.replaceChildren(...children);
  }

  pick(label, options, value, change) {
    const select = make("select", {}, ...options.map(([at, text]) => make("option", { value: at, selected: String(at) === String(value) }, String(text))));
    select.dataset.pick = label;
    select.addEventListener("change", () => this.study.changed(() => change(select.value), select));
    return make("label", { className: "pick" }, label, select);
  }

  check(label, on, change) {
    const box = make("input", { type: "checkbox", checked: on });
    box.dataset.pick = label;
    box.addEventListener("change", () => this.study.changed(() => change(box.checked), box));
    return make("label", { className: "pick mark" }, box, label);
  }
}

// The page of a study as what is shown live: what was chosen stays chosen while runs come in.

class LiveStudy {
  constructor(study) {
    this.study = study;
    this.roots = ["header.hero", "#panel-plan"];
  }

  get version() {
    return this.study.source.live;
  }

  read(text) {
    return readStudy(text);
  }

  // Another axis, or the first law, is another page.
  fits({ axes, laws }) {
    const named = (source) => JSON.stringify([source.axes.map(({ name }) => name), source.laws.axes]);
    return named({ axes, laws }) === named(this.study.source);
  }

  heard() {} // nothing is to be remembered over a reload

  // The page with other data, drawn anew around the reader: places are kept by what they are called, since values may be added.
  async take(source, buffer) {
    const { study } = this;
    const text = (place) => study.axes.map((axis, i) => axis.texts[place[i]]);
    const [held, cell, run] = [text(study.held), text(study.cell.place), study.column("run").values[study.run]];
    const [keep, before] = [placeOfKeyboard(), offered(study)];
    study.load(source, buffer);
    const found = (texts) => study.axes.map((axis, i) => Math.max(0, axis.texts.indexOf(texts[i])));
    study.held = found(held);
    study.cell = study.cells.get(found(cell).join()) || study.shown[0];
    study.run = Math.max(0, study.column("run").values.indexOf(run));
    hideTip();
    if (offered(study) !== before) study.choices.draw(); // else a list that is open would close
    try {
      await study.draw();
    } finally {
      keep();
    }
  }
}

// What can be chosen, as a text.
function offered(study) {
  const { questions, columns, curves } = study.source;
  const names = (list) => list.map(({ name }) => name);
  return JSON.stringify([study.axes.map(({ texts }) => texts), names(questions), names(columns), names(curves), [...new Set(study.column("status").values)]]);
}

// What returns the keyboard to where it is now, and a text that is being typed to its end, once the page was drawn anew.
function placeOfKeyboard() {
  const active = document.activeElement;
  const box = active?.closest("main [id], aside [id]");
  if (!box || box === active) return () => {};
  const alike = () => [...document.getElementById(box.id).querySelectorAll(active.tagName)];
  const [at, caret, { pick, column }] = [alike().indexOf(active), active.selectionStart, active.dataset];
  return () => {
    if (active.isConnected) return;
    const named = alike().find((other) => (pick && other.dataset.pick === pick) || (column && other.dataset.column === column));
    const next = named || alike()[at];
    next?.focus({ preventScroll: true });
    if (typeof caret === "number") next?.setSelectionRange(caret, caret);
  };
}

begun.then(() => { if (shown) new Live(new LiveStudy(shown)).follow(); });

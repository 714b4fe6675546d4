// Tables: the measured numbers themselves, to be read at a step or downloaded as CSV or parquet.

// With more values than this a variable is not written out beside the others.
const MANY = 64;

class Tables {
  constructor(tables, blocks, steps) {
    this.tables = tables;
    this.blocks = blocks;
    this.steps = steps;
  }

  rowSteps(name) {
    return name === "run-history" ? this.blocks.values(this.tables[name].steps) : this.steps;
  }

  // Columns of a table: one per variable and coordinate, each with a function that reads row i.
  columns(name, limit = Infinity) {
    return this.tables[name].variables.flatMap(({ name: variable, labels, block }) => {
      if (labels.length > limit) return [];
      const values = this.blocks.values(block);
      const n = labels.length || 1;
      return Array.from({ length: n }, (_, j) => ({ title: labels.length ? `${variable}[${labels[j]}]` : variable, values, read: (i) => values[i * n + j] }));
    });
  }

  csv(name) {
    const columns = this.columns(name);
    const head = ["step", ...columns.map(({ title }) => title)].map(field);
    const lines = Array.from(this.rowSteps(name), (step, i) => [step, ...columns.map(({ values, read }) => exact(read(i), values))].join(","));
    return [head.join(","), ...lines].join("\n") + "\n";
  }

  parquet(name, notes) {
    const steps = Int32Array.from(this.rowSteps(name));
    const kind = (values) => (values instanceof Float32Array || values instanceof Float64Array ? values.constructor : Int32Array);
    const columns = this.columns(name).map(({ title, values, read }) => ({ title, values: kind(values).from(steps, (_, i) => read(i)) }));
    return parquet([{ title: "step", values: steps }, ...columns], notes);
  }

  // A table element with the numbers at one checkpoint; variables with many values are named, and left to the CSV.
  at(name, index) {
    const table = document.createElement("table");
    const body = table.createTBody();
    const add = (title, text) => {
      const row = body.insertRow();
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = title;
      row.append(head);
      row.insertCell().textContent = text;
    };
    for (const { title, read } of this.columns(name, MANY)) add(title, readable(read(index)));
    const many = this.tables[name].variables.filter(({ labels }) => labels.length > MANY);
    for (const { name: variable, labels } of many) add(variable, `${labels.length.toLocaleString("en-US")} values: in the CSV and the parquet file`);
    return table;
  }
}

// A value as a field of CSV.
function field(value) {
  return typeof value === "string" && /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

// The shortest text that gives the same number again, in the precision it was measured in.
function exact(value, values) {
  if (Number.isNaN(value)) return "";
  if (!Number.isFinite(value) || !(values instanceof Float32Array)) return String(value);
  for (let digits = 6; digits < 9; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (Math.fround(Number(text)) === value) return text;
  }
  return String(Number(value.toPrecision(9)));
}

// A number for people: a whole one whole, any other with this many digits, and no zeros that stand for none.
function readable(value, digits = 5) {
  if (!Number.isFinite(value)) return "–";
  if (Number.isSafeInteger(value)) return value.toLocaleString("en-US");
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6 ? Number(value.toPrecision(digits)).toExponential() : String(Number(value.toPrecision(digits)));
}

// The same with three digits, where there is little room.
function shortly(value) {
  const short = Number(value.toPrecision(3));
  return Math.abs(short) >= 1e6 ? short.toExponential() : readable(short);
}

function download(content, filename, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = filename;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

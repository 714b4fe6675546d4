// Every run: a table that is sorted and filtered, and downloaded as CSV or parquet.

const AT_FIRST = 50; // rows that are shown, and as many more each time

function drawRows(study) {
  const { columns } = study.source;
  const rows = filteredRows(study);
  const shown = rows.slice(0, study.rowsShown);
  const table = make("table");
  const heads = columns.filter((column) => column.name !== "why" || column.values.some(Boolean));
  table.createTHead().append(make("tr", {}, ...heads.map((column) => headOf(study, column))));
  const body = table.createTBody();
  for (const row of shown) {
    const line = make("tr", { className: row === study.run ? "chosen" : "" });
    for (const column of heads) line.append(fieldOf(study, column, row));
    body.append(line);
  }
  document.getElementById("runs").replaceChildren(table);
  const many = rows.length === study.rows.length ? `${rows.length.toLocaleString("en-US")} runs` : `${rows.length.toLocaleString("en-US")} of ${study.rows.length.toLocaleString("en-US")} runs`;
  document.getElementById("runs-said").textContent = shown.length < rows.length ? `${many}; the first ${shown.length} are shown` : many;
  document.getElementById("more-runs").hidden = shown.length >= rows.length;
}

// A heading sorts: ascending, descending, as planned.
function headOf(study, column) {
  const { by, down } = study.sort;
  const mark = by === column.name ? (down ? " ↓" : " ↑") : "";
  const button = make("button", { type: "button" }, said(column.name) + mark);
  button.dataset.column = column.name;
  button.addEventListener("click", () => {
    study.sort = by !== column.name ? { by: column.name, down: false } : down ? { by: null, down: false } : { by, down: true };
    drawRows(study);
    [...document.querySelectorAll("#runs thead button")].find((other) => other.dataset.column === column.name).focus();
  });
  const head = make("th", { scope: "col" }, button);
  if (mark) head.setAttribute("aria-sort", down ? "descending" : "ascending");
  return head;
}

function fieldOf(study, column, row) {
  const value = column.values[row];
  if (column.name === "run") {
    const button = make("button", { type: "button" }, value);
    button.addEventListener("click", () => {
      study.chooseRun(row);
      const panel = document.getElementById("panel-cell"); // the table is drawn anew, and the button gone
      panel.scrollIntoView();
      panel.focus({ preventScroll: true });
    });
    return make("td", {}, button);
  }
  if (value === null && column.kind === "time" && study.drawn(column, row)) {
    return make("td", { className: "unseen" }, `> ${study.drawn(column, row).value.toLocaleString("en-US")}`);
  }
  return make("td", {}, textIn(column, row));
}

// What a column says of a run, for people.
function textIn({ values, digits }, row) {
  const value = values[row];
  return value === null ? "–" : typeof value === "number" ? readable(value, digits) : String(value);
}

function filteredRows(study) {
  const { columns } = study.source;
  const words = study.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const status = study.column("status");
  const inCell = (row) => !study.onlyCell || study.cell.rows.includes(row);
  const rows = study.rows.map((_, row) => row).filter((row) => (!study.status || status.values[row] === study.status) && inCell(row)
    && words.every((word) => columns.some(({ values }) => String(values[row] ?? "").toLowerCase().includes(word))));
  const { by, down } = study.sort;
  if (!by) return rows;
  const column = study.column(by);
  const values = exactIn(column);
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  return rows.sort((one, other) => {
    const [a, b] = [values[one], values[other]];
    if (a === null || b === null) return (a === null) - (b === null); // what was not seen comes last, in both directions
    return down ? compare(b, a) : compare(a, b);
  });
}

// The values of a column as they are sorted and downloaded: in full.
function exactIn({ exact, values }) {
  return exact || values;
}

function downloadRows(study, kind) {
  const { columns } = study.source;
  const rows = filteredRows(study);
  if (kind === "csv") {
    const lines = rows.map((row) => columns.map((column) => field(exactIn(column)[row] ?? "")).join(","));
    return download([columns.map(({ name }) => field(name)).join(","), ...lines].join("\n") + "\n", `${study.source.study}.csv`, "text/csv");
  }
  const filled = columns.map((column) => {
    const values = exactIn(column);
    return { title: column.name, values: column.kind === "text" ? rows.map((row) => String(values[row] ?? "")) : Float64Array.from(rows, (row) => values[row] ?? NaN) };
  });
  return download(parquet(filled, study.source.notes), `${study.source.study}.parquet`, "application/vnd.apache.parquet");
}

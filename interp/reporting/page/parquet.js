// Parquet: one flat table of numbers as a file, made in the page. One row group, one page a column, no compression, no gaps
// (a missing number is NaN, a missing text empty): the plainest file of parquet-format 2, which every reader knows. Its headers are
// Thrift's compact protocol.

const PARQUET = {
  types: new Map([[Int32Array, 1], [Float32Array, 4], [Float64Array, 5], [Array, 6]]), // INT32, FLOAT, DOUBLE, BYTE_ARRAY
  utf8: 0, // what the bytes of texts are
  plain: 0, // the encoding of values: little-endian, one after the other
  levels: 3, // the encoding (RLE) of the levels that required columns do not have
  required: 0,
};

// `columns`: [{ title, values }], typed arrays or arrays of texts, of equal length; `notes`: names and texts that are kept in the file.
function parquet(columns, notes) {
  const parts = [new TextEncoder().encode("PAR1")];
  let at = 4;
  const put = (bytes) => { parts.push(bytes); at += bytes.length; };
  const rows = columns[0].values.length;
  const chunks = columns.map(({ title, values }) => {
    const data = Array.isArray(values) ? lengthAndText(values) : littleEndian(values);
    const start = at;
    put(new Thrift().struct([
      [1, "i32", 0], [2, "i32", data.length], [3, "i32", data.length],
      [5, "struct", [[1, "i32", rows], [2, "i32", PARQUET.plain], [3, "i32", PARQUET.levels], [4, "i32", PARQUET.levels]]],
    ]).bytes());
    put(data);
    return [[2, "i64", start], [3, "struct", [
      [1, "i32", typeOf(values)], [2, "list i32", [PARQUET.plain]], [3, "list string", [title]], [4, "i32", 0], [5, "i64", rows],
      [6, "i64", at - start], [7, "i64", at - start], [9, "i64", start],
    ]]];
  });
  const leaf = ({ title, values }) => [[1, "i32", typeOf(values)], [3, "i32", PARQUET.required], [4, "string", title], ...(Array.isArray(values) ? [[6, "i32", PARQUET.utf8]] : [])];
  const foot = new Thrift().struct([
    [1, "i32", 2],
    [2, "list struct", [[[4, "string", "series"], [5, "i32", columns.length]], ...columns.map(leaf)]],
    [3, "i64", rows],
    [4, "list struct", [[[1, "list struct", chunks], [2, "i64", at - 4], [3, "i64", rows]]]],
    [5, "list struct", Object.entries(notes).map(([key, value]) => [[1, "string", key], [2, "string", value]])],
    [6, "string", "interp report"],
  ]).bytes();
  put(foot);
  put(littleEndian(Int32Array.of(foot.length)));
  put(parts[0]);
  return new Blob(parts);
}

function typeOf(values) {
  return PARQUET.types.get(values.constructor);
}

function littleEndian(values) {
  const size = values.BYTES_PER_ELEMENT;
  const view = new DataView(new ArrayBuffer(values.length * size));
  const set = { 1: "setInt32", 4: "setFloat32", 5: "setFloat64" }[typeOf(values)];
  values.forEach((value, i) => view[set](i * size, value, true));
  return new Uint8Array(view.buffer);
}

// Texts in UTF-8, each after its length.
function lengthAndText(values) {
  const texts = values.map((value) => new TextEncoder().encode(value));
  const bytes = new Uint8Array(texts.reduce((sum, text) => sum + 4 + text.length, 0));
  let at = 0;
  for (const text of texts) {
    new DataView(bytes.buffer).setInt32(at, text.length, true);
    bytes.set(text, at + 4);
    at += 4 + text.length;
  }
  return bytes;
}

// Thrift's compact protocol, as far as it is needed: structs of [field, type, value] with ascending fields.
class Thrift {
  static codes = { i32: 5, i64: 6, string: 8, list: 9, struct: 12 };

  constructor() {
    this.written = [];
  }

  bytes() {
    return Uint8Array.from(this.written);
  }

  struct(fields) {
    let last = 0;
    for (const [field, type, value] of fields) {
      this.written.push(((field - last) << 4) | Thrift.codes[type.split(" ")[0]]);
      this.value(type, value);
      last = field;
    }
    this.written.push(0);
    return this;
  }

  value(type, value) {
    const [kind, of] = type.split(" ");
    if (kind === "struct") this.struct(value);
    else if (kind === "string") this.text(value);
    else if (kind === "list") this.list(of, value);
    else this.varint(2 * value); // zigzag of a number that is never negative
  }

  list(of, values) {
    this.written.push((Math.min(values.length, 15) << 4) | Thrift.codes[of]);
    if (values.length >= 15) this.varint(values.length);
    for (const value of values) this.value(of, value);
  }

  text(value) {
    const bytes = new TextEncoder().encode(value);
    this.varint(bytes.length);
    for (const byte of bytes) this.written.push(byte);
  }

  varint(value) {
    while (value >= 128) {
      this.written.push((value % 128) | 128);
      value = Math.floor(value / 128);
    }
    this.written.push(value);
  }
}

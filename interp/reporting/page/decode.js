// Blocks: the arrays of the page, unpacked once and decoded when first asked for. The codecs are described in blocks.py.

async function inflate(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const TYPES = { f4: Float32Array, f8: Float64Array, i4: Int32Array, i2: Int16Array, u2: Uint16Array, i1: Int8Array, u1: Uint8Array };

class Blocks {
  constructor(header, buffer) {
    this.header = header;
    this.buffer = buffer;
    this.flat = new Map();
  }

  // How many values a block has at one step.
  size(number) {
    return this.shape(number).slice(1).reduce((a, b) => a * b, 1);
  }

  shape(number) {
    return this.header[number].shape;
  }

  // All values of a block, one after the other (not for `odds` and `modes`, which are made one at a time).
  values(number) {
    if (!this.flat.has(number)) this.flat.set(number, this.decode(this.header[number]));
    return this.flat.get(number);
  }

  decode(entry) {
    const size = entry.shape.reduce((a, b) => a * b, 1);
    if (entry.codec[0] === "f") return this.floats(entry, size);
    if (entry.codec !== "q2") return new TYPES[entry.codec](this.buffer, entry.at, size);
    const changes = this.whole16(entry.at, size);
    const codes = new Uint16Array(size);
    const out = new Float32Array(size);
    const row = size / entry.shape[0];
    for (let i = 0; i < size; i++) {
      codes[i] = changes[i] + (i < row ? 0 : codes[i - row]);
      out[i] = codes[i] === 65535 ? NaN : entry.low + codes[i] * entry.width;
    }
    return out;
  }

  // Floating-point numbers, bit for bit: byte by byte, each row XORed with the one before it.
  floats(entry, size) {
    const width = Number(entry.codec[1]);
    const bytes = new Uint8Array(size * width);
    const row = (size / (entry.shape[0] ?? 1)) * width;
    for (let byte = 0; byte < width; byte++) {
      const plane = new Uint8Array(this.buffer, entry.at + byte * size, size);
      for (let i = 0, at = byte; i < size; i++, at += width) bytes[at] = at < row ? plane[i] : plane[i] ^ bytes[at - row];
    }
    return new TYPES[entry.codec](bytes.buffer);
  }

  // 16-bit whole numbers of both signs, from their low bytes and their high bytes.
  whole16(at, size) {
    const low = new Uint8Array(this.buffer, at, size);
    const high = new Uint8Array(this.buffer, at + size, size);
    const out = new Int16Array(size);
    for (let i = 0; i < size; i++) {
      const zigzag = low[i] | (high[i] << 8);
      out[i] = (zigzag >>> 1) ^ -(zigzag & 1);
    }
    return out;
  }

  // Some consecutive values of a block of `modes` at one step.
  mix(number, step, from, count) {
    const { weights, at } = this.header[number];
    const size = this.size(number);
    const modes = this.shape(weights)[1];
    if (!this.flat.has(number)) this.flat.set(number, this.whole16(at, modes * size));
    const codes = this.flat.get(number);
    const amounts = this.values(weights);
    const out = new Float32Array(count);
    for (let mode = 0; mode < modes; mode++) {
      const amount = amounts[step * modes + mode];
      const start = mode * size + from;
      for (let i = 0; i < count; i++) out[i] += amount * codes[start + i];
    }
    return out;
  }

  // What a block holds at one step (its first axis): a number, a typed array, or rows of a matrix.
  at(number, step) {
    const entry = this.header[number];
    const inner = entry.shape.slice(1);
    const size = inner.reduce((a, b) => a * b, 1);
    if (entry.codec === "odds") return this.odds(entry, step);
    if (entry.codec === "modes") return rows(this.mix(number, step, 0, size), inner);
    const values = this.values(number);
    return inner.length ? rows(values.subarray(step * size, (step + 1) * size), inner) : values[step];
  }

  whole(number) {
    return rows(this.values(number), this.shape(number));
  }

  odds(entry, step) {
    const [, height, width] = entry.shape;
    const r = this.at(entry.r, step);
    const c = Float32Array.from(this.at(entry.c, step), Math.exp);
    const out = [];
    for (let i = 0; i < height; i++) {
      const e = Math.exp(r[i]);
      const line = new Float32Array(width);
      for (let j = 0; j < width; j++) line[j] = 1 / (1 + e * c[j]);
      out.push(line);
    }
    return out;
  }

  // A structure with every {"$": number} replaced by its array.
  resolve(value) {
    if (Array.isArray(value)) return value.map((item) => this.resolve(item));
    if (value === null || typeof value !== "object") return value;
    if ("$" in value) return this.whole(value.$);
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, this.resolve(item)]));
  }
}

function rows(flat, shape) {
  if (shape.length < 2) return flat;
  const size = flat.length / shape[0];
  return Array.from({ length: shape[0] }, (_, i) => rows(flat.subarray(i * size, (i + 1) * size), shape.slice(1)));
}

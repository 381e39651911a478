// The subset of MessagePack that this page and the ingest server use: ingest/wire.py.

/** Encode a body of chunks: [{first, t0Ns, samples, leadOff, battery}]. */
export function packChunks(chunks) {
  const bytes = [];
  const number = (tag, size, write) => {
    const view = new DataView(new ArrayBuffer(size));
    write(view);
    bytes.push(tag, ...new Uint8Array(view.buffer));
  };
  const text = (value) => {
    const utf8 = new TextEncoder().encode(value);
    bytes.push(0xd9, utf8.length, ...utf8);
  };
  const float = (value) => number(0xcb, 8, (view) => view.setFloat64(0, value));
  const unsigned = (value) => number(0xcf, 8, (view) => view.setBigUint64(0, BigInt(value)));
  bytes.push(0xdc, chunks.length >> 8, chunks.length & 0xff);
  for (const { first, t0Ns, samples, leadOff, battery } of chunks) {
    const raw = new DataView(new ArrayBuffer(samples.length * 2));
    for (const [k, value] of samples.entries()) raw.setInt16(2 * k, value, true);
    bytes.push(0x87);
    text("first_sample");
    unsigned(first);
    text("t0_ns");
    unsigned(t0Ns);
    text("fs_hz");
    float(130);
    text("counts_per_mv");
    float(1000);
    text("lead_off");
    bytes.push(leadOff ? 0xc3 : 0xc2);
    text("battery");
    if (battery === null) bytes.push(0xc0);
    else float(battery);
    text("samples");
    bytes.push(
      0xc5,
      (raw.byteLength >> 8) & 0xff,
      raw.byteLength & 0xff,
      ...new Uint8Array(raw.buffer),
    );
  }
  return new Uint8Array(bytes);
}

/** Decode the server's answer: a map of texts and numbers. Throws for anything else. */
export function unpack(buffer) {
  const view = new DataView(buffer);
  let at = 0;
  const take = (size) => {
    at += size;
    return at - size;
  };
  const string = (length) => new TextDecoder().decode(new Uint8Array(buffer, take(length), length));
  const map = (size) => {
    const found = {};
    for (let k = 0; k < size; k++) {
      const key = value();
      found[key] = value();
    }
    return found;
  };
  function value() {
    const tag = view.getUint8(take(1));
    if (tag < 0x80) return tag;
    if (tag < 0x90) return map(tag & 0x0f);
    if (tag >= 0xa0 && tag < 0xc0) return string(tag & 0x1f);
    switch (tag) {
      case 0xc0:
        return null;
      case 0xcb:
        return view.getFloat64(take(8));
      case 0xcc:
        return view.getUint8(take(1));
      case 0xcd:
        return view.getUint16(take(2));
      case 0xce:
        return view.getUint32(take(4));
      case 0xcf:
        return Number(view.getBigUint64(take(8)));
      case 0xd9:
        return string(view.getUint8(take(1)));
      case 0xda:
        return string(view.getUint16(take(2)));
      default:
        throw new Error(`unexpected byte ${tag}`);
    }
  }
  return value();
}

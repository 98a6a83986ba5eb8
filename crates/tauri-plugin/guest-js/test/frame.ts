// Makes frames like `src/frame.rs`.

export function frame(header: object, bytes: Iterable<number>): ArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const body = Uint8Array.from(bytes);
  const all = new Uint8Array(4 + text.length + body.length);
  new DataView(all.buffer).setUint32(0, text.length, true);
  all.set(text, 4);
  all.set(body, 4 + text.length);
  return all.buffer;
}

// Splits a binary frame, see `src/frame.rs`.

/** Returns the header of a frame and the bytes that follow it. */
export function readFrame<Header>(raw: ArrayBuffer): { header: Header; bytes: Uint8Array } {
  const length = new DataView(raw).getUint32(0, true);
  const text = new TextDecoder().decode(new Uint8Array(raw, 4, length));
  return { header: JSON.parse(text) as Header, bytes: new Uint8Array(raw, 4 + length) };
}

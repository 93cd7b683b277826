function decodeUplink(input) {
  var raw = Buffer.from(input.bytes);
  return { data: { total: raw.readUInt32BE(0), flow: Math.round(raw.readFloatLE(4) * 100) / 100, hex: raw.toString('hex', 0, 4) } };
}

function encodeDownlink(input) {
  var raw = Buffer.alloc(3);
  raw.writeUInt8(7, 0);
  raw.writeUInt16BE(input.data.minutes, 1);
  return { fPort: 9, bytes: Array.from(raw) };
}

function litres(b, at) {
  return (b[at] + b[at + 1] * 0x100 + b[at + 2] * 0x10000 + b[at + 3] * 0x1000000) / 10;
}

function decodeUplink(input) {
  var b = input.bytes;
  if (b.length !== 10) return { errors: ['ten bytes expected'] };
  return {
    data: {
      total_l: litres(b, 0),
      reverse_total_l: litres(b, 4),
      leak: (b[8] & 1) === 1,
      tamper: (b[8] & 2) === 2,
      battery_v: (200 + b[9]) / 100,
    },
  };
}

function normalizeUplink(input) {
  var d = input.data;
  return { data: { metering: { water: { total: d.total_l } }, water: { leak: d.leak }, battery: d.battery_v } };
}

function encodeDownlink(input) {
  var minutes = input.data.interval_min;
  return { fPort: 20, bytes: [1, minutes >> 8, minutes & 255] };
}

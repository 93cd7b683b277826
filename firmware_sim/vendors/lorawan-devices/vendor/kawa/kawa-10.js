function decodeUplink(input) {
  var b = input.bytes;
  if (b.length !== 3) return { errors: ['three bytes expected'] };
  var level = ((b[0] << 24) >> 16) | b[1];
  return { data: { water_level_m: level / 1000, battery_v: (200 + b[2]) / 100 } };
}

function normalizeUplink(input) {
  return { data: { battery: input.data.battery_v } };
}

function encodeDownlink(input) {
  var minutes = input.data.interval_min;
  if (!(minutes >= 1 && minutes <= 1440)) return { errors: ['interval_min is 1 to 1440'] };
  return { fPort: 10, bytes: [1, minutes >> 8, minutes & 255] };
}

function decodeDownlink(input) {
  return { data: { interval_min: (input.bytes[1] << 8) | input.bytes[2] } };
}

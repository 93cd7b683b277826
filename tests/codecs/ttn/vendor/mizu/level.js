function decodeUplink(input) {
  if (input.fPort !== 10) return { errors: ['unknown port ' + input.fPort] };
  var warnings = [];
  var level = ((input.bytes[0] << 8) | input.bytes[1]) / 1000;
  if (input.bytes[2] < 30) warnings.push('battery is low');
  return { data: { level_m: level, battery_v: input.bytes[2] / 10, at: input.recvTime }, warnings: warnings };
}

function normalizeUplink(input) {
  return { data: { water: { level: input.data.level_m }, battery: input.data.battery_v } };
}

function encodeDownlink(input) {
  return { fPort: 10, bytes: [1, input.data.interval_min] };
}

function decodeDownlink(input) {
  return { data: { interval_min: input.bytes[1] } };
}

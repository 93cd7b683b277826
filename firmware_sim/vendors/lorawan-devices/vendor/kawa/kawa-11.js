function decodeUplink(input) {
  var b = input.bytes;
  if (b.length !== 4) return { errors: ['four bytes expected'] };
  var data = {};
  var depth = (b[0] << 8) | b[1];
  if (depth !== 0xffff) data.flood_depth_m = depth / 1000;
  data.flood_detected = (b[2] & 1) === 1;
  data.battery_v = (200 + b[3]) / 100;
  return { data: data };
}

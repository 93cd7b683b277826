// The older form, with a global that it forgot to declare.
function Decoder(bytes, port) {
  if (bytes.length) seen = bytes[0];
  return { mode: ['off', 'on'][seen], port: port, shown: '12:30:45' };
}

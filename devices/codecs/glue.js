/* Asks the function that a script has: TS013's, else one of the two older forms. Its value is a function
 * (call, input as JSON) → answer as JSON, "" where the script has nothing for that call. */
(function () {
  'use strict';
  var parse = JSON.parse, text = JSON.stringify, ToDate = Date;
  var find = {
    decodeUplink: function () {
      if (typeof decodeUplink === 'function') return decodeUplink;
      if (typeof Decoder === 'function')
        return function (input) { return { data: Decoder(input.bytes, input.fPort) }; };
      if (typeof Decode === 'function')
        return function (input) {
          return { data: Decode(input.fPort, input.bytes, input.variables || {}) };
        };
      return null;
    },
    encodeDownlink: function () {
      if (typeof encodeDownlink === 'function') return encodeDownlink;
      if (typeof Encoder === 'function')
        return function (input) {
          return { fPort: input.fPort, bytes: Encoder(input.data, input.fPort) };
        };
      if (typeof Encode === 'function')
        return function (input) {
          return { fPort: input.fPort, bytes: Encode(input.fPort, input.data, input.variables || {}) };
        };
      return null;
    },
    decodeDownlink: function () {
      return typeof decodeDownlink === 'function' ? decodeDownlink : null;
    }
  };
  return function (call, given) {
    var ask = find[call](), input, output, normalized;
    if (!ask) return '';
    input = parse(given);
    if (typeof input.recvTime === 'string') input.recvTime = new ToDate(input.recvTime);
    output = ask(input);
    if (call === 'decodeUplink' && output && output.data && !(output.errors || []).length &&
        typeof normalizeUplink === 'function')
      normalized = normalizeUplink({ data: parse(text(output.data)) });
    return text({ output: output === undefined ? null : output, normalized: normalized });
  };
})()

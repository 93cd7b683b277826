/* Asks the function that a script has: TS013's, else one of the two older forms. Its value is a function
 * (call, input as JSON) → answer as JSON, "" where the script has nothing for that call. */
(function () {
  'use strict';
  var parse = JSON.parse, text = JSON.stringify, ToDate = Date;
  function older(data) { return { data: data }; }
  var calls = {
    decodeUplink: function (input) {
      if (typeof decodeUplink === 'function') return decodeUplink(input);
      if (typeof Decoder === 'function') return older(Decoder(input.bytes, input.fPort));
      if (typeof Decode === 'function')
        return older(Decode(input.fPort, input.bytes, input.variables || {}));
      return undefined;
    },
    encodeDownlink: function (input) {
      if (typeof encodeDownlink === 'function') return encodeDownlink(input);
      if (typeof Encoder === 'function')
        return { fPort: input.fPort, bytes: Encoder(input.data, input.fPort) };
      if (typeof Encode === 'function')
        return { fPort: input.fPort, bytes: Encode(input.fPort, input.data, input.variables || {}) };
      return undefined;
    },
    decodeDownlink: function (input) {
      if (typeof decodeDownlink === 'function') return decodeDownlink(input);
      return undefined;
    }
  };
  var has = {
    decodeUplink: function () {
      return typeof decodeUplink === 'function' || typeof Decoder === 'function' ||
        typeof Decode === 'function';
    },
    encodeDownlink: function () {
      return typeof encodeDownlink === 'function' || typeof Encoder === 'function' ||
        typeof Encode === 'function';
    },
    decodeDownlink: function () { return typeof decodeDownlink === 'function'; }
  };
  return function (call, given) {
    if (!has[call]()) return '';
    var input = parse(given);
    if (typeof input.recvTime === 'string') input.recvTime = new ToDate(input.recvTime);
    var output = calls[call](input), normalized;
    if (call === 'decodeUplink' && output && output.data && !(output.errors || []).length &&
        typeof normalizeUplink === 'function')
      normalized = normalizeUplink({ data: parse(text(output.data)) });
    return text({ output: output === undefined ? null : output, normalized: normalized });
  };
})()

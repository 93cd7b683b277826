/* The part of Node's Buffer that codecs use, over Uint8Array and DataView. ChirpStack offers it to
 * codecs, so some are written for it. Loaded only for scripts that name Buffer. */
var Buffer = (function () {
  'use strict';
  var ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  class Buffer extends Uint8Array {
    static from(source, encoding) {
      if (typeof source !== 'string')
        return Buffer.copyOf(source instanceof ArrayBuffer ? new Uint8Array(source) : source);
      switch (String(encoding || 'utf8').toLowerCase()) {
        case 'hex': return Buffer.copyOf((source.match(/[0-9a-f]{2}/gi) || []).map(function (pair) {
          return parseInt(pair, 16);
        }));
        case 'base64': case 'base64url': return Buffer.copyOf(fromBase64(source));
        case 'ascii': case 'latin1': case 'binary':
          return Buffer.copyOf(Array.from(source, function (c) { return c.charCodeAt(0) & 255; }));
        default: return Buffer.copyOf(
          unescape(encodeURIComponent(source)).split('').map(function (c) { return c.charCodeAt(0); }));
      }
    }
    static copyOf(bytes) {
      var made = new Buffer(bytes.length);
      for (var i = 0; i < bytes.length; i++) made[i] = bytes[i];
      return made;
    }
    static alloc(size, fill) { return new Buffer(size).fill(fill || 0); }
    static allocUnsafe(size) { return new Buffer(size); }
    static isBuffer(value) { return value instanceof Buffer; }
    static concat(parts) {
      return Buffer.copyOf(parts.reduce(function (all, one) { return all.concat(Array.from(one)); }, []));
    }
    slice(from, to) { return this.subarray(from, to); }
    equals(other) {
      return this.length === other.length && this.every(function (b, i) { return b === other[i]; });
    }
    toJSON() { return { type: 'Buffer', data: Array.from(this) }; }
    toString(encoding, from, to) {
      var bytes = Array.from(this.subarray(from || 0, to === undefined ? this.length : to));
      var text = bytes.map(function (b) { return String.fromCharCode(b); }).join('');
      switch (String(encoding || 'utf8').toLowerCase()) {
        case 'hex': return bytes.map(function (b) { return (b < 16 ? '0' : '') + b.toString(16); }).join('');
        case 'base64': return toBase64(bytes);
        case 'ascii': case 'latin1': case 'binary': return text;
        default: try { return decodeURIComponent(escape(text)); } catch (error) { return text; }
      }
    }
    readUIntBE(at, size) { return whole(this, at, size, false); }
    readUIntLE(at, size) { return whole(this, at, size, true); }
    readIntBE(at, size) { return signed(whole(this, at, size, false), size); }
    readIntLE(at, size) { return signed(whole(this, at, size, true), size); }
    writeUIntBE(value, at, size) { return put(this, value, at, size, false); }
    writeUIntLE(value, at, size) { return put(this, value, at, size, true); }
    writeIntBE(value, at, size) { return put(this, value, at, size, false); }
    writeIntLE(value, at, size) { return put(this, value, at, size, true); }
  }
  function view(buffer) { return new DataView(buffer.buffer, buffer.byteOffset, buffer.length); }
  function whole(buffer, at, size, isLittle) {
    if (!(at >= 0 && at + size <= buffer.length)) throw new RangeError('offset out of range');
    var sum = 0;
    for (var i = 0; i < size; i++) sum = sum * 256 + buffer[isLittle ? at + size - 1 - i : at + i];
    return sum;
  }
  function signed(value, size) {
    var top = Math.pow(2, 8 * size);
    return value >= top / 2 ? value - top : value;
  }
  function put(buffer, value, at, size, isLittle) {
    for (var i = 0; i < size; i++) {
      buffer[isLittle ? at + i : at + size - 1 - i] = ((value % 256) + 256) % 256;
      value = Math.floor(value / 256);
    }
    return at + size;
  }
  [['Int8', 1], ['Uint8', 1], ['Int16', 2], ['Uint16', 2], ['Int32', 4], ['Uint32', 4], ['Float32', 4],
    ['Float64', 8], ['BigInt64', 8], ['BigUint64', 8]].forEach(function (pair) {
    var sort = pair[0], size = pair[1];
    var names = { Float32: ['Float'], Float64: ['Double'], BigUint64: ['BigUInt64', 'BigUint64'] }[sort] ||
      (sort.indexOf('Uint') === 0 ? [sort.replace('Uint', 'UInt'), sort] : [sort]);
    names.forEach(function (name) {
      (size === 1 ? [['', false]] : [['LE', true], ['BE', false]]).forEach(function (end) {
        Buffer.prototype['read' + name + end[0]] = function (at) {
          return view(this)['get' + sort](at || 0, end[1]);
        };
        Buffer.prototype['write' + name + end[0]] = function (value, at) {
          view(this)['set' + sort](at || 0, value, end[1]);
          return (at || 0) + size;
        };
      });
    });
  });
  function toBase64(bytes) {
    var text = '';
    for (var i = 0; i < bytes.length; i += 3) {
      var n = (bytes[i] << 16) | ((bytes[i + 1] || 0) << 8) | (bytes[i + 2] || 0);
      text += ALPHABET[n >> 18] + ALPHABET[(n >> 12) & 63] +
        (i + 1 < bytes.length ? ALPHABET[(n >> 6) & 63] : '=') + (i + 2 < bytes.length ? ALPHABET[n & 63] : '=');
    }
    return text;
  }
  function fromBase64(text) {
    var bytes = [], held = 0, bits = 0;
    for (var c of text.replace(/-/g, '+').replace(/_/g, '/')) {
      var value = ALPHABET.indexOf(c);
      if (value < 0) continue;
      held = (held << 6) | value, bits += 6;
      if (bits >= 8) bits -= 8, bytes.push((held >> bits) & 255), held &= (1 << bits) - 1;
    }
    return bytes;
  }
  return Buffer;
})();

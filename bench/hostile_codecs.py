"""Codecs that mean harm, or were written badly enough: name → script. All of our own writing.

The bench lets them rage beside good ones, the tests hold that each ends in a failure.
"""

from __future__ import annotations

from typing import Final

_UPLINK: Final = "function decodeUplink(input) {{ {} }}"


def _uplink(body: str) -> str:
    return _UPLINK.format(body)


HOSTILE: Final = {
    # endless
    "loops for ever": _uplink("while (true) {}"),
    "loops for ever while it is loaded": "for (;;) {} " + _uplink("return {data: {a: 1}}"),
    "loops in a catch": _uplink("while (true) { try { while (true) {} } catch (e) {} }"),
    "loops in a finally": _uplink("try { while (true) {} } finally { while (true) {} }"),
    "loops in a getter of its answer": _uplink("return {data: {get a() { while (true) {} }}}"),
    "loops in toJSON": _uplink("return {data: {toJSON: function () { for (;;) {} }}}"),
    "loops in a proxy": _uplink(
        "return {data: new Proxy({}, {ownKeys: function () { for (;;) {} }})}"
    ),
    "loops in a generator": _uplink("function* g() { while (true) yield 1; } for (var x of g());"),
    "loops in a sort": _uplink("[3, 1, 2].sort(function () { for (;;) {} })"),
    "dies slowly": _uplink(
        "var s = 0, n = 1e5 + input.bytes[0] * 1e9; for (var i = 0; i < n; i++) s += i;"
        "return {data: {s: s}}"
    ),
    # memory
    "fills an array": _uplink("var a = []; while (true) a.push(a.length + 'x')"),
    "doubles a text": _uplink("var s = 'x'; while (true) s += s"),
    "repeats a text": _uplink("return {data: {s: 'x'.repeat(1 << 29)}}"),
    "fills a map": _uplink("var m = new Map(); for (var i = 0; ; i++) m.set(i, {i: i})"),
    "wants a huge buffer": _uplink("return {data: {n: new ArrayBuffer(1 << 30).byteLength}}"),
    "wants many buffers": _uplink("var a = []; while (true) a.push(new Uint8Array(1 << 20))"),
    "grows a number": _uplink("var n = 2n; while (true) n = n * n"),
    # the engine's own loops, which look at no clock
    "joins a sparse array": _uplink(
        "var a = []; a[4294967294] = 1; return {data: {s: a.join('x').length}}"
    ),
    "fills a sparse array": _uplink("var a = []; a.length = 4294967295; a.fill(1)"),
    "searches a sparse array": _uplink(
        "var a = []; a.length = 4294967295; return {data: {i: a.indexOf(1)}}"
    ),
    "reverses a sparse array": _uplink("var a = [1]; a.length = 4294967295; a.reverse()"),
    "backtracks in a pattern": _uplink("return {data: {m: /^(a+)+$/.test('a'.repeat(60) + '!')}}"),
    "backtracks in two patterns": _uplink(
        "return {data: {m: /(x+x+)+y/.test('x'.repeat(80)),"
        " n: /^(([a-z])+.)+$/.test('b'.repeat(90))}}"
    ),
    "pads a text again and again": _uplink(
        "for (;;) 'x'.padEnd(1 << 20).split('').reverse().join('')"
    ),
    # the stack
    "calls itself": "function decodeUplink(input) { return decodeUplink(input) }",
    "nests its answer": _uplink(
        "var o = {}; for (var i = 0; i < 1e5; i++) o = {o: o}; return {data: o}"
    ),
    "answers itself": _uplink("var o = {}; o.o = o; return {data: o}"),
    "nests brackets": _uplink("return eval('('.repeat(1e5) + '1' + ')'.repeat(1e5))"),
    # what it should not see, and may not change
    "asks for files": _uplink("return {data: {f: std.open('/etc/passwd', 'r').readAsString()}}"),
    "asks for the environment": _uplink("return {data: {e: process.env}}"),
    "asks for modules": _uplink("return {data: {m: require('child_process')}}"),
    "imports a module": _uplink("import('os').then(function (m) { m.exec(['id']) })"),
    "asks for the engine's system": _uplink("return {data: {o: os.getcwd()}}"),
    "looks for Python": _uplink("return {data: {p: (0, eval)('__import__')}}"),
    "takes JSON away": "JSON.stringify = function () { return {} }; "
    + _uplink("return {data: {a: 1}}"),
    "poisons Object": "Object.prototype.reason = 'time'; Object.prototype.output = 7; "
    + "Array.prototype.toJSON = function () { return 1 }; "
    + _uplink("throw [1]"),
    "throws nothing": _uplink("throw undefined"),
    "throws itself": _uplink("throw decodeUplink"),
    "throws a trap": _uplink("throw {toString: function () { for (;;) {} }}"),
    "says in JSON's name what is no JSON": "JSON.stringify = function () { return '}{' }; "
    + _uplink("return {data: {a: 1}}"),
    "says in JSON's name a number too long to read": "JSON.stringify = function () "
    "{ return '{\"output\":{\"data\":{\"a\":' + Array(5001).join('9') + '}}}' }; "
    + _uplink("return {data: {a: 1}}"),
    "says in JSON's name bytes without end": "JSON.stringify = function () "
    '{ return \'{"output":{"bytes":[1e999]}}\' }; ' + _uplink("return {data: {a: 1}}"),
    "says in JSON's name brackets without end": "JSON.stringify = function () "
    "{ return Array(200001).join('[') }; " + _uplink("return {data: {a: 1}}"),
    "says in JSON's name a list": "JSON.stringify = function () { return '[1]' }; "
    + _uplink("return {data: {a: 1}}"),
    "makes a number of everything": "Object.prototype.toJSON = function () { return 5 }; "
    + _uplink("return {data: {a: 1}}"),
    "throws half a character": _uplink("throw new Error('\\ud800')"),
    # what it says
    "says too much": _uplink("return {data: {s: 'x'.repeat(1e6)}}"),
    "says nothing": _uplink(""),
    "says a number": _uplink("return 7"),
    "says a list": _uplink("return [1, 2, 3]"),
    "has no function": "var decodeUplink = 7",
    "is no script": "}{",
    "is binary": "\x00\x01\x02\ud800",
}

function decodeUplink(input) { if (!input.bytes[0]) throw new Error('zero'); return { data: { a: 1 } }; }

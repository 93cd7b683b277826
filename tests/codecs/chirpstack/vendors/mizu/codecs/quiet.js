function decodeUplink(input) { return { data: { n: input.bytes.length } }; }

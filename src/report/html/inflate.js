'use strict';
// Inflates (RFC 1951) what `data.rs` has deflated. Browsers can do it themselves, but not while one waits.
function inflate(data, length) {
  const out = new Uint8Array(length);
  let from = 0, to = 0, hold = 0, held = 0, last = 0;
  const need = n => { while (held < n) { hold |= data[from++] << held; held += 8; } };
  const bits = n => {
    need(n);
    const value = hold & (1 << n) - 1;
    hold >>>= n; held -= n;
    return value;
  };
  // A canonical code, as a table: whatever follows the word, its place says the word's meaning and length.
  const code = lengths => {
    const most = lengths.reduce((a, b) => Math.max(a, b), 1), table = new Uint16Array(1 << most);
    for (let n = 1, next = 0; n <= most; n++, next <<= 1) lengths.forEach((one, meaning) => {
      if (one !== n) return;
      let first = 0;
      for (let i = 0; i < n; i++) first |= (next >> i & 1) << n - 1 - i;
      for (let at = first; at < table.length; at += 1 << n) table[at] = meaning << 4 | n;
      next++;
    });
    return { most, table };
  };
  const word = ({ most, table }) => {
    need(most);
    const entry = table[hold & table.length - 1], n = entry & 15;
    if (n === 0) throw new Error('the data of this page is broken');
    hold >>>= n; held -= n;
    return entry >> 4;
  };
  // What the words for lengths and distances begin at, and how many bits say more.
  const steps = (first, count, extra) => {
    const all = [];
    for (let i = 0, at = first; i < count; at += 1 << extra(i), i++) all.push([at, extra(i)]);
    return all;
  };
  const lengths = steps(3, 28, i => i < 4 ? 0 : (i >> 2) - 1).concat([[258, 0]]), distances = steps(1, 30, i => i < 2 ? 0 : (i >> 1) - 1);
  const sized = ([base, extra]) => base + bits(extra);
  const fixed = () => [code(Array.from({ length: 288 }, (_, i) => i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)), code(Array(30).fill(5))];
  const own = () => {
    const many = 257 + bits(5), far = 1 + bits(5), some = 4 + bits(4), first = Array(19).fill(0), all = [];
    for (let i = 0; i < some; i++) first[[16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15][i]] = bits(3);
    const words = code(first);
    while (all.length < many + far) {
      const one = word(words);
      if (one < 16) { all.push(one); continue; }
      const value = one === 16 ? all.at(-1) : 0;
      for (let n = one === 16 ? 3 + bits(2) : one === 17 ? 3 + bits(3) : 11 + bits(7); n > 0; n--) all.push(value);
    }
    return [code(all.slice(0, many)), code(all.slice(many))];
  };
  while (!last) {
    last = bits(1);
    const kind = bits(2);
    if (kind === 0) {
      // It begins with the next whole byte; some may have been taken already.
      from -= held >> 3;
      hold = held = 0;
      const n = data[from] | data[from + 1] << 8;
      out.set(data.subarray(from + 4, from + 4 + n), to);
      from += 4 + n; to += n;
      continue;
    }
    const [plain, far] = kind === 1 ? fixed() : own();
    for (let one = word(plain); one !== 256; one = word(plain)) {
      if (one < 256) { out[to++] = one; continue; }
      const n = sized(lengths[one - 257]), back = sized(distances[word(far)]);
      for (let i = 0; i < n; i++, to++) out[to] = out[to - back];
    }
  }
  return out;
}

'use strict';
// Draws the timelines. Each `div.view` holds the data of one run, or of two that are shown side by side.
// Times: `at` is what a correct wall clock shows, in milliseconds from the start of the cluster; `p` is the axis of
// the picture, which never runs backwards (a step back of the clocks begins a new epoch).
const certdrill = (() => {
  const DAY = 86400000, HOUR = 3600000;
  const PKI = '/etc/kubernetes/pki/', KUBELET = '/var/lib/kubelet/pki/';
  // Dated files are generations of one certificate.
  const DATED = /kubelet-(client|server)-\d.*\.pem$/;
  const undated = path => path.replace(DATED, 'kubelet-$1-current.pem');
  // A kubelet's client certificate may be in its kubeconfig; its own server's has another name.
  const heldAs = (process, slot, path) => process.startsWith('kubelet@') && slot === 'Kubeconfig' ? KUBELET + 'kubelet-client-current.pem' : undated(path);
  const short = path => path.replace(PKI, '').replace('/etc/kubernetes/', '').replace(KUBELET, '');
  const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  const esc = text => String(text).replace(/[&<>"']/g, c => escapes[c]);
  const date = ms => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');

  function element(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
      else if (value !== undefined) node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  }

  // The largest unit, as in `+256d`.
  function span(ms) {
    const sign = ms < 0 ? '-' : '', s = Math.abs(Math.round(ms / 1000));
    if (s < 120) return `${sign}${s}s`;
    if (s < 7200) return `${sign}${Math.floor(s / 60)}m`;
    if (s < 172800) return `${sign}${Math.floor(s / 3600)}h`;
    return `${sign}${Math.floor(s / 86400)}d`;
  }

  // ---- check-expiration: HumanDuration and ShortHumanDuration of apimachinery, and kubeadm's table ----
  function humanDuration(seconds, long) {
    if (seconds < -1) return '<invalid>';
    if (seconds < 0) return '0s';
    const f = Math.floor, m = f(seconds / 60), h = f(seconds / 3600), d = f(h / 24);
    const two = (a, x, b, y) => b === 0 ? a + x : a + x + b + y;
    if (!long) {
      if (seconds < 60) return seconds + 's';
      if (m < 60) return m + 'm';
      if (h < 24) return h + 'h';
      return h < 24 * 365 ? d + 'd' : f(d / 365) + 'y';
    }
    if (seconds < 120) return seconds + 's';
    if (m < 10) return two(m, 'm', seconds % 60, 's');
    if (m < 180) return m + 'm';
    if (h < 8) return two(h, 'h', m % 60, 'm');
    if (h < 48) return h + 'h';
    if (h < 192) return two(d, 'd', h % 24, 'h');
    if (h < 24 * 365 * 2) return d + 'd';
    if (h < 24 * 365 * 8) return two(f(d / 365), 'y', d % 365, 'd');
    return f(d / 365) + 'y';
  }

  function pathOf(row) {
    if (row.endsWith('.conf')) return '/etc/kubernetes/' + row;
    return PKI + (row.startsWith('etcd-') ? 'etcd/' + row.slice(5) : row) + '.crt';
  }

  // The recorded output with the residual times of another instant.
  function expiration(recorded, node, state, start, at) {
    const lines = recorded.stdout.split('\n'), ahead = (state.nodes.get(node) || { ahead: 0 }).ahead * 1000;
    for (let i = 0; i < lines.length; i++) {
      const left = lines[i].indexOf('RESIDUAL TIME');
      if (left < 0 || !lines[i].startsWith('CERTIFICATE')) continue;
      const expires = lines[i].indexOf('EXPIRES');
      const rest = left + lines[i].slice(left).search(/TIME +/) + lines[i].slice(left).match(/TIME +/)[0].length;
      let end = i + 1;
      while (end < lines.length && lines[end].trim() !== '') end++;
      const cells = [];
      for (let r = i; r < end; r++) {
        let cell = lines[r].slice(left, rest).trimEnd();
        const name = lines[r].slice(0, expires).trim();
        const held = r > i && state.disk.get(node + ':' + pathOf(name));
        // As kubeadm: whole seconds, truncated toward zero.
        if (held && cell !== '') cell = humanDuration(Math.trunc((held.na - at - ahead) / 1000), recorded.long);
        cells.push(cell);
      }
      const width = Math.max(10, Math.max(...cells.map(cell => cell.length)) + 3);
      for (let r = i; r < end; r++) {
        const tail = lines[r].slice(rest);
        lines[r] = lines[r].slice(0, left) + cells[r - i].padEnd(width) + tail;
      }
      i = end;
    }
    return lines.join('\n');
  }

  // ---- data: JSON, deflated, in Base64; texts are common to all runs ----
  const unpack = node => JSON.parse(new TextDecoder().decode(inflate(Uint8Array.from(atob(node.textContent), c => c.charCodeAt(0)), Number(node.dataset.bytes))));
  let texts = null;

  // ---- from records to lanes ----
  class Strip {
    constructor(name) { this.name = name; this.segments = []; }
    set(p, value) {
      const last = this.segments.at(-1);
      if (last && last.b === Infinity) {
        if (last.a === p) this.segments.pop(); else last.b = p;
      }
      if (value) this.segments.push(Object.assign({ a: p, b: Infinity }, value));
    }
    cut(p, change) {
      const last = this.segments.at(-1);
      if (last && last.b === Infinity) this.set(p, Object.assign({}, last, change, { a: p, b: Infinity }));
    }
    at(p) { return this.segments.find(one => one.a <= p && p < one.b); }
  }

  function read(data) {
    texts = texts || unpack(document.getElementById('texts'));
    const S = index => index === null || index === undefined ? null : texts[data.strings[index]];
    const certificates = data.certificates.map(([serial, subject, issuer, nb, na], id) =>
      ({ id, serial, subject: S(subject), issuer: S(issuer), nb, na }));
    const run = { start: data.start, backend: data.backend, nodes: data.nodes, epochs: [], deltas: [], log: [], groups: new Map(), bySeq: new Map() };
    const lanes = new Map();
    const lane = (group, key, label, kind) => {
      const id = group + '|' + kind + '|' + key;
      if (!lanes.has(id)) {
        const made = { id, group, label, kind, strips: new Map(), marks: [], lives: [], busy: 0 };
        lanes.set(id, made);
        if (!run.groups.has(group)) run.groups.set(group, { name: group, lanes: [], open: true });
        run.groups.get(group).lanes.push(made);
      }
      return lanes.get(id);
    };
    const strip = (of, name) => of.strips.get(name) || (of.strips.set(name, new Strip(name)), of.strips.get(name));
    lane('cluster', 'steps', 'steps', 'step'); lane('cluster', 'expectations', 'expectations', 'mark');
    lane('cluster', 'events', 'events', 'mark'); lane('cluster', 'csr', 'CSRs', 'csr');
    for (const node of data.nodes) run.groups.set(node, { name: node, lanes: [], open: true });
    let p = 0, previous = null, epoch = null, stepNumber = 0;
    const ahead = new Map(), generation = new Map();
    let at = 0, seq = 0;
    for (const [later, further, kind, row] of data.records) {
      at += later; seq += further;
      if (previous === null) { epoch = { p0: 0, shift: at }; run.epochs.push(epoch); }
      else if (at >= previous) p += at - previous;
      else { epoch = { p0: p, shift: at - p }; run.epochs.push(epoch); }
      previous = at;
      const entry = { p, at, seq, kind };
      run.bySeq.set(seq, entry);
      if (kind === 'end') break;
      if (kind === 'step') {
        const text = S(row[2]);
        strip(lane('cluster', 'steps', 'steps', 'step'), 'steps').set(p, { cls: 'step' + (stepNumber++ % 2), tip: `step ${row[0]}: ${text}\nline ${row[1]}` });
        Object.assign(entry, { text, weight: 1, what: 'step' });
        run.log.push(entry);
      } else if (kind === 'judged') {
        const [passed, form, expected, seen, subject, line, cause] = row;
        Object.assign(entry, { text: (S(form) === 'expect' ? '' : S(form) + ': ') + S(expected) + (passed ? '' : '\nseen: ' + S(seen)), weight: passed ? 1 : 2, what: passed ? '✓' : '✗', node: S(subject), cause });
        run.log.push(entry);
        lane('cluster', 'expectations', 'expectations', 'mark').marks.push({ p, cls: passed ? 'm-good' : 'm-bad', tip: `${passed ? '✓ holds' : '✗ does not hold'}, line ${line}\n${entry.text}` });
      } else if (kind === 'event') {
        const [weight, name, node, subject, text, detail, cause] = row;
        Object.assign(entry, { text: S(text), weight, what: S(name), node: S(node), subject: S(subject), detail: S(detail), cause });
        run.log.push(entry);
        const tip = `${entry.what}${entry.node ? ' on ' + entry.node : ''}\n${entry.text}`;
        if (weight === 2) lane('cluster', 'events', 'events', 'mark').marks.push({ p, cls: 'm-bad', tip });
        else if (weight === 1) lane('cluster', 'events', 'events', 'mark').marks.push({ p, cls: 'm-note', tip });
      } else {
        const delta = { p, seq, nodes: [], disk: [], loaded: [], processes: [], edges: [], requests: [], expiration: [] };
        run.deltas.push(delta);
        const first = run.deltas.length === 1;
        for (const [n, version, a, powered, ready] of row.n || []) {
          const node = S(n);
          delta.nodes.push([node, { version: S(version), ahead: a, powered, ready }]);
          if ((ahead.get(node) || 0) !== a) for (const one of run.groups.get(node)?.lanes || []) for (const s of one.strips.values()) s.cut(p, { ahead: a * 1000 });
          ahead.set(node, a);
        }
        for (const [n, pathIndex, c] of row.c || []) {
          const node = S(n), path = S(pathIndex), certificate = c === null ? null : certificates[c];
          delta.disk.push([node + ':' + path, certificate && Object.assign({ node, path }, certificate)]);
          if (DATED.test(path) && !certificate) continue;
          const of = lane(node, undated(path), short(undated(path)), 'certificate');
          if (!certificate) { strip(of, 'disk').set(p, null); of.busy++; of.marks.push({ p, cls: 'm-bad', tip: `${short(path)} on ${node} is gone` }); continue; }
          const turn = (generation.get(of.id) ?? -1) + 1;
          generation.set(of.id, turn);
          strip(of, 'disk').set(p, { certificate, turn: turn % 2, ahead: (ahead.get(node) || 0) * 1000, head: `${path} on ${node}, on disk` });
          of.lives.push({ certificate, turn: turn % 2, ahead: (ahead.get(node) || 0) * 1000 });
          if (!first) { of.busy++; of.marks.push({ p, cls: 'm-new', tip: `written: ${path} on ${node}` }); }
        }
        for (const [pr, slot, pathIndex, c] of row.l || []) {
          const process = S(pr), path = S(pathIndex), node = process.split('@')[1], certificate = c === null ? null : certificates[c];
          delta.loaded.push([process + ':' + S(slot), certificate && { process, slot: S(slot), path, certificate }]);
          const key = heldAs(process, S(slot), path), of = lane(node, key, short(key), 'certificate');
          strip(of, process + ' ' + S(slot)).set(p, certificate && { certificate, held: true, ahead: (ahead.get(node) || 0) * 1000, head: `${process} holds (${S(slot)})` });
        }
        for (const [pr, st, number] of row.p || []) {
          const process = S(pr), state = S(st), [name, node] = process.split('@');
          delta.processes.push([process, { state, number }]);
          const of = lane(node, process, name, 'process');
          const key = of.id, turn = (generation.get(key) ?? -1) + (state === 'running' ? 1 : 0);
          if (state === 'running') generation.set(key, turn);
          const cls = state === 'running' ? 'running' + Math.max(0, turn) % 2 : state === 'crashed' || state === 'exited' ? 'down' : state === 'absent' || state === 'stopped' ? 'absent' : 'between';
          strip(of, 'process').set(p, { cls, tip: `${process}: ${state}${number ? ', process ' + number : ''}` });
          if (!first && generation.has(key)) { of.busy++; if (state === 'running') of.marks.push({ p, cls: 'm-new', tip: `${process} starts` }); }
        }
        for (const [e, fresh, held] of row.e || []) {
          const edge = S(e), node = edge.split(' ')[0].split('@')[1] || 'cluster';
          const outcome = ([is, cl, text]) => ({ is: S(is), class: S(cl), text: S(text) });
          const state = { fresh: outcome(fresh), held: outcome(held) };
          delta.edges.push([edge, state]);
          const of = lane(node, edge, edge.replace('@' + node, ''), 'edge');
          const paint = (name, one) => strip(of, name).set(p, one.is === 'absent' && name === 'held' ? null :
            { cls: one.is === 'ok' ? (name === 'held' ? 'held0' : 'ok0') : one.is, tip: `${edge}\n${name === 'held' ? 'open connection' : 'new connection'}: ${one.is}${one.class ? ' (' + one.class + ')' : ''}${one.text ? '\n' + one.text : ''}` });
          paint('fresh', state.fresh); paint('held', state.held);
          if ([state.fresh.is, state.held.is].some(is => is === 'failing' || is === 'partial')) of.bad = true;
        }
        for (const [r, user, st, created, signer] of row.q || []) {
          const name = S(r), state = S(st);
          delta.requests.push([name, state === 'Deleted' ? null : { user: S(user), signer: S(signer), state, created }]);
          if (state === 'Deleted') continue;
          const done = state === 'Issued';
          lane('cluster', 'csr', 'CSRs', 'csr').marks.push({ p, cls: done ? 'm-good' : state === 'Denied' || state === 'Failed' ? 'm-bad' : 'm-note', tip: `${name} of ${S(user)}: ${state}\n${S(signer)}` });
        }
        for (const [n, code, long, out, err] of row.k || []) delta.expiration.push([S(n), { code, long, stdout: S(out), stderr: S(err) }]);
      }
    }
    run.end = Math.max(p, 1000);
    run.epochs.forEach((one, i) => { one.p1 = run.epochs[i + 1]?.p0 ?? run.end; });
    const order = { step: 0, mark: 1, csr: 2, process: 3, certificate: 4, edge: 5 };
    for (const group of run.groups.values()) {
      group.lanes = group.lanes.filter(one => one.strips.size || one.marks.length || one.group === 'cluster');
      group.lanes.sort((a, b) => order[a.kind] - order[b.kind]);
      for (const one of group.lanes) { one.strips = [...one.strips.values()]; if (one.kind === 'certificate') split(one, run); else for (const s of one.strips) for (const g of s.segments) g.b = Math.min(g.b, run.end); }
    }
    run.groups = [...run.groups.values()].filter(group => group.lanes.length);
    run.stops = [...new Set([...run.log.filter(one => one.weight > 0 || one.what.startsWith('csr')), ...run.deltas].map(one => one.p))].sort((a, b) => a - b);
    return run;
  }

  // Validity is what a certificate's segment is coloured by; what is held but no longer on disk is striped.
  function split(lane, run) {
    const cutAt = (segment, points) => {
      const inside = [...new Set(points)].filter(p => p > segment.a && p < segment.b).sort((a, b) => a - b);
      return [segment.a, ...inside].map((a, i) => Object.assign({}, segment, { a, b: inside[i] ?? segment.b }));
    };
    const limits = (certificate, ahead) => run.epochs.flatMap(e => [certificate.nb - ahead - e.shift, certificate.na + 1000 - ahead - e.shift].filter(p => p >= e.p0 && p < e.p1).concat(e.p0));
    const look = one => {
      const wall = wallAt(run, one.a) + one.ahead;
      return wall < one.certificate.nb ? 'early' : wall >= one.certificate.na + 1000 ? 'ended' : 'ok';
    };
    const disk = lane.strips.find(one => one.name === 'disk');
    if (disk) for (const one of disk.segments) one.b = Math.min(one.b, run.end);
    for (const strip of lane.strips) {
      strip.segments = strip.segments.flatMap(segment => {
        segment.b = Math.min(segment.b, run.end);
        const points = limits(segment.certificate, segment.ahead);
        if (segment.held && disk) points.push(...disk.segments.flatMap(one => [one.a, one.b]));
        return cutAt(segment, points).map(one => {
          const validity = look(one), below = segment.held && disk?.at(one.a);
          one.other = Boolean(segment.held && disk && below?.certificate.id !== one.certificate.id);
          one.cls = validity !== 'ok' ? validity : one.held ? (one.other ? 'stale' : 'held0') : 'ok' + one.turn;
          if (validity === 'ended') lane.busy++;
          const word = { ok: 'valid', ended: 'ENDED', early: 'NOT YET VALID' }[validity];
          const c = one.certificate;
          one.tip = `${one.head}: ${word}${one.other ? ', another one than on disk' : ''}\n${c.subject}\nissued by ${c.issuer}, serial ${c.serial}\nfrom  ${date(run.start + c.nb)}\nuntil ${date(run.start + c.na)}`;
          return one;
        });
      });
    }
    lane.strips.sort((a, b) => (b.name === 'disk') - (a.name === 'disk'));
    lane.lives = lane.lives.flatMap(({ certificate, turn, ahead }) => run.epochs.map(e => ({
      a: Math.max(e.p0, certificate.nb - ahead - e.shift), b: Math.min(e.p1, certificate.na + 1000 - ahead - e.shift), cls: 'life' + turn
    })).filter(one => one.b > one.a));
  }

  const wallAt = (run, p) => p + (run.epochs.findLast(e => e.p0 <= p) || run.epochs[0]).shift;

  function stateAt(run, p, seq = Infinity) {
    const state = { nodes: new Map(), disk: new Map(), loaded: new Map(), processes: new Map(), edges: new Map(), requests: new Map(), expiration: new Map() };
    for (const delta of run.deltas) {
      if (delta.p > p || delta.seq > seq) break;
      for (const part of Object.keys(state)) for (const [key, value] of delta[part]) value === null ? state[part].delete(key) : state[part].set(key, value);
    }
    return state;
  }

  // ---- the view ----
  const tip = element('div', { class: 'tip', role: 'tooltip', hidden: '' });

  function open(place) {
    const runs = [...place.querySelectorAll('script')].map(one => read(unpack(one)));
    const end = Math.max(...runs.map(run => run.end));
    // Where it went wrong is what one wants to see first.
    const wrong = Math.min(...runs.flatMap(run => run.log.filter(one => one.what === '✗').map(one => one.p)));
    const view = { runs, t0: 0, t1: end, p: Number.isFinite(wrong) ? wrong : end, all: false, tab: 'Certificates' };
    const when = element('span', { class: 'when', 'aria-live': 'off' });
    const slider = element('input', { type: 'range', min: 0, max: 10000, step: 1, value: 10000, 'aria-label': 'instant that is shown' });
    const button = (text, label, action) => element('button', { type: 'button', 'aria-label': label, title: label, onclick: action }, text);
    const all = element('input', { type: 'checkbox', onchange: () => { view.all = all.checked; draw(); } });
    place.append(
      element('div', { class: 'bar' }, when,
        button('◀', 'previous event', () => stop(-1)), button('▶', 'next event', () => stop(1)),
        button('−', 'zoom out', () => zoom(2)), button('+', 'zoom in', () => zoom(0.5)), button('fit', 'show the whole time', () => frame(0, end)),
        element('label', {}, all, 'every lane'), slider),
      legend());
    const sides = element('div', { class: 'sides' + (runs.length > 1 ? ' two' : '') });
    place.append(sides);
    const parts = runs.map((run, index) => side(run, index));
    slider.addEventListener('input', () => go(view.t0 + slider.value / 10000 * (view.t1 - view.t0)));

    // Work is done once a frame, however often it is asked for. 2: the picture too.
    let asked = 0;
    function later(work) {
      if (asked === 0) requestAnimationFrame(() => {
        const now = asked;
        asked = 0;
        if (now & 2) parts.forEach(part => part.plot());
        parts.forEach(part => part.state());
        label();
      });
      asked |= work;
    }
    const draw = () => later(2);
    function label() {
      const run = runs[0], at = wallAt(run, view.p);
      when.textContent = `${date(run.start + at)}  day ${(Math.floor(at / 86400) / 1000)}`;
      slider.value = (view.p - view.t0) / (view.t1 - view.t0) * 10000;
      slider.setAttribute('aria-valuetext', when.textContent);
    }
    function go(p) {
      view.p = Math.min(end, Math.max(0, p));
      if (view.p < view.t0 || view.p > view.t1) { const w = view.t1 - view.t0; frame(view.p - w / 2, view.p + w / 2); } else later(1);
      parts.forEach(part => part.cursor());
    }
    function frame(t0, t1) {
      const width = Math.min(end, Math.max(2000, t1 - t0));
      view.t0 = Math.min(Math.max(0, t0), end - width); view.t1 = view.t0 + width;
      draw();
    }
    function zoom(factor, about = view.p) { frame(about - (about - view.t0) * factor, about + (view.t1 - about) * factor); }
    function stop(way) {
      const stops = [...new Set(runs.flatMap(run => run.stops))].sort((a, b) => a - b);
      const next = way > 0 ? stops.find(p => p > view.p) : stops.findLast(p => p < view.p);
      if (next !== undefined) go(next);
    }

    function side(run, index) {
      const axis = element('div', { class: 'axis' }), plotArea = element('div', { class: 'lanes' });
      const plot = element('div', { class: 'plot', tabindex: 0, role: 'application', 'aria-label': `timeline of ${run.backend}: left and right go from event to event, up and down choose a lane, plus and minus zoom` }, axis, plotArea);
      const now = element('div', { class: 'now', 'aria-live': 'polite' });
      const tabs = element('div', { class: 'tabs', role: 'tablist' }), content = element('div', { class: 'state', role: 'tabpanel', tabindex: 0 });
      const node = element('select', { 'aria-label': 'node', onchange: () => state() });
      for (const name of run.nodes) if (run.deltas.some(d => d.expiration.some(one => one[0] === name))) node.append(element('option', {}, name));
      for (const name of ['Certificates', 'Edges', 'CSRs', 'Processes', 'check-expiration', 'Events'])
        tabs.append(element('button', { type: 'button', role: 'tab', 'data-tab': name, onclick: () => { view.tab = name; later(1); } }, name));
      tabs.append(node);
      const box = element('div', { class: 'side' });
      if (runs.length > 1) box.append(element('h3', {}, run.backend + (runs[0].backend === runs[1].backend ? (index ? ', second' : ', first') : '')));
      box.append(plot, now, tabs, content);
      sides.append(box);
      let tips = [], rows = [], gutter = 0, width = 0, selected = 0;
      const x = p => gutter + (p - view.t0) / (view.t1 - view.t0) * (width - gutter);
      const back = px => view.t0 + (px - gutter) / (width - gutter) * (view.t1 - view.t0);

      function draw() {
        width = plotArea.clientWidth || 900;
        const phone = width < 620;
        gutter = phone ? 4 : 236;
        tips = []; rows = [];
        const out = [], ticks = axisTicks(run, view, Math.max(2, Math.floor((width - gutter) / 95)));
        const segment = (one, y, h, extra = '') => {
          if (one.b < view.t0 || one.a > view.t1) return;
          const left = Math.max(gutter, x(one.a)), right = Math.min(width, x(one.b));
          out.push(`<rect class="${one.cls}${extra}" x="${left.toFixed(1)}" y="${y}" width="${Math.max(1, right - left - (right - left > 4 ? .5 : 0)).toFixed(1)}" height="${h}"${one.tip ? ` data-t="${tips.push(one.tip) - 1}"` : ''}/>`);
          if (one.cls === 'ended' || one.cls === 'failing' || one.cls === 'stale' || one.cls === 'down') out.push(`<rect class="hatch" x="${left.toFixed(1)}" y="${y}" width="${Math.max(1, right - left).toFixed(1)}" height="${h}"/>`);
        };
        let y = 0, count = 0;
        for (const group of run.groups) {
          const shown = view.all ? group.lanes : group.lanes.filter(one => one.busy || one.bad || one.group === 'cluster');
          const hidden = group.lanes.length - shown.length;
          out.push(`<rect class="group-bg" x="0" y="${y}" width="${width}" height="18" data-g="${esc(group.name)}"/><text class="group" x="6" y="${y + 13}" pointer-events="none">${group.open ? '▾' : '▸'} ${esc(group.name)}${hidden ? ` <tspan class="dim" font-weight="400">(${hidden} quiet lane${hidden > 1 ? 's' : ''} not shown)</tspan>` : ''}</text>`);
          y += 18;
          if (!group.open) continue;
          for (const one of shown) {
            const strips = one.kind === 'certificate' ? one.strips : one.strips;
            const heights = strips.map((_, i) => i === 0 ? 9 : 5);
            const body = Math.max(14, heights.reduce((a, b) => a + b + 1, 0) + (one.lives.length ? 3 : 0) + 3);
            const top = y + (phone ? 13 : 0), height = body + (phone ? 13 : 0);
            const row = rows.push({ lane: one, y, height }) - 1;
            out.push(`<rect class="lane-bg${count++ % 2 ? ' odd' : ''}${row === selected ? ' sel' : ''}" x="0" y="${y}" width="${width}" height="${height}" data-r="${row}"/>`);
            const name = phone || one.label.length < 37 ? one.label : one.label.slice(0, 35) + '…';
            out.push(`<text x="${phone ? 4 : 14}" y="${phone ? y + 10 : y + Math.min(body, 20) / 2 + 4}" pointer-events="none"${one.bad ? ' class="bad-label"' : ''}>${esc(name)}</text>`);
            let at = top + 2;
            strips.forEach((strip, i) => { for (const s of strip.segments) segment(s, at, heights[i]); at += heights[i] + 1; });
            for (const life of one.lives) segment(life, at, 2);
            let lastX = -9;
            for (const mark of one.marks) {
              if (mark.p < view.t0 || mark.p > view.t1) continue;
              const mx = x(mark.p);
              if (mx - lastX < 1.5 && mark.cls !== 'm-bad') continue;
              lastX = mx;
              const t = tips.push(mark.tip + '\n' + date(run.start + wallAt(run, mark.p))) - 1;
              out.push(one.kind === 'mark' || one.kind === 'csr'
                ? `<circle class="${mark.cls}" cx="${mx.toFixed(1)}" cy="${top + 7}" r="4" data-t="${t}"/>`
                : `<rect class="${mark.cls}" x="${(mx - 1).toFixed(1)}" y="${top + 1}" width="2" height="${body - 2}" data-t="${t}"/>`);
            }
            y += height;
          }
        }
        const lines = ticks.map(tick => `<line class="grid" x1="${x(tick.p)}" x2="${x(tick.p)}" y1="0" y2="${y}"/>`).join('');
        const hatch = '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="1.6" height="5" fill="var(--bg)" opacity=".55"/></pattern></defs>';
        plotArea.innerHTML = `<svg height="${y}" viewBox="0 0 ${width} ${y}" role="img" aria-hidden="true">${hatch}${lines}${out.join('')}<line class="cursor" x1="0" x2="0" y1="0" y2="${y}"/></svg>`;
        axis.innerHTML = `<svg height="20" viewBox="0 0 ${width} 20" aria-hidden="true">${ticks.map(tick => `<text class="dim" x="${x(tick.p) + 3}" y="14">${x(tick.p) + 66 > width ? '' : esc(tick.text)}</text>`).join('')}</svg>`;
        cursor();
      }
      function cursor() {
        const line = plotArea.querySelector('.cursor');
        if (!line) return;
        const at = x(Math.min(view.p, run.end));
        line.setAttribute('x1', at); line.setAttribute('x2', at);
        line.setAttribute('visibility', at < gutter - 1 || at > width + 1 ? 'hidden' : 'visible');
      }
      function state() {
        const p = view.p, world = stateAt(run, p), at = wallAt(run, p);
        for (const one of tabs.querySelectorAll('[data-tab]')) one.setAttribute('aria-selected', one.dataset.tab === view.tab);
        node.hidden = view.tab !== 'check-expiration';
        content.innerHTML = panels[view.tab](run, world, p, at, node.value);
        // On a phone a row is a card, and each fact has its name.
        for (const one of content.querySelectorAll('table')) {
          const names = [...one.querySelectorAll('th')].map(cell => cell.textContent);
          for (const row of one.tBodies[0].rows) for (const cell of row.cells) cell.dataset.label = names[cell.cellIndex];
        }
        const current = content.querySelector('tr.current');
        if (current) content.scrollTop = current.offsetTop - content.clientHeight / 2;
        const row = rows[selected];
        if (!row) return;
        const found = row.lane.strips.map(strip => strip.segments.findLast(one => one.a <= p && p <= one.b)).filter(Boolean).map(one => one.tip);
        const mark = row.lane.marks.findLast(one => one.p <= p);
        if (mark && !found.length) found.push(mark.tip + '\n' + date(run.start + wallAt(run, mark.p)));
        now.textContent = `${row.lane.group} · ${row.lane.label}\n${found.join('\n') || 'nothing at this instant'}`;
      }
      const position = event => event.clientX - plotArea.getBoundingClientRect().left;
      let dragging = false;
      plot.addEventListener('pointerdown', event => {
        if (event.button !== 0) return;
        const group = event.target.closest('[data-g]');
        if (group) { const found = run.groups.find(one => one.name === group.dataset.g); found.open = !found.open; draw(); return; }
        const box = plotArea.getBoundingClientRect(), y = event.clientY - box.top;
        const row = rows.findIndex(one => y >= one.y && y < one.y + one.height);
        if (row >= 0 && row !== selected) { selected = row; draw(); }
        if (position(event) > gutter) { dragging = true; go(back(position(event))); } else later(1);
      });
      plot.addEventListener('pointermove', event => {
        if (dragging && event.buttons) go(back(position(event))); else dragging = false;
        hover(event);
      });
      plot.addEventListener('pointerup', () => { dragging = false; });
      plot.addEventListener('pointerleave', () => { dragging = false; tip.hidden = true; });
      function hover(event) {
        const text = event.target.dataset && event.target.dataset.t;
        tip.hidden = text === undefined;
        if (text === undefined) return;
        tip.textContent = tips[text];
        const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8), below = event.clientY + 18;
        tip.style.left = Math.max(4, left) + 'px';
        tip.style.top = (below + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : below) + 'px';
      }
      plot.addEventListener('wheel', event => {
        if (!event.ctrlKey && !event.shiftKey) return;
        event.preventDefault();
        if (event.ctrlKey) zoom(event.deltaY > 0 ? 1.25 : 0.8, back(position(event)));
        else { const by = (event.deltaY || event.deltaX) / width * (view.t1 - view.t0); frame(view.t0 + by, view.t1 + by); }
      }, { passive: false });
      plot.addEventListener('keydown', event => {
        const w = view.t1 - view.t0;
        const keys = {
          ArrowLeft: () => event.shiftKey ? frame(view.t0 - w / 5, view.t1 - w / 5) : stop(-1), ArrowRight: () => event.shiftKey ? frame(view.t0 + w / 5, view.t1 + w / 5) : stop(1),
          ArrowUp: () => choose(-1), ArrowDown: () => choose(1), '+': () => zoom(0.5), '=': () => zoom(0.5), '-': () => zoom(2), '0': () => frame(0, end), Home: () => go(0), End: () => go(end)
        };
        if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        keys[event.key]();
      });
      function choose(by) {
        selected = Math.min(rows.length - 1, Math.max(0, selected + by));
        draw(); later(1);
        const row = rows[selected];
        if (row.y < plot.scrollTop) plot.scrollTop = row.y;
        else if (row.y + row.height + 24 > plot.scrollTop + plot.clientHeight) plot.scrollTop = row.y + row.height + 24 - plot.clientHeight;
      }
      content.addEventListener('click', event => { const to = event.target.closest('[data-p]'); if (to) go(Number(to.dataset.p)); });
      return { plot: draw, state, cursor, run };
    }
    let drawn = place.clientWidth;
    new ResizeObserver(() => { if (Math.abs(place.clientWidth - drawn) > 1) { drawn = place.clientWidth; draw(); } }).observe(place);
    addEventListener('beforeprint', () => parts.forEach(part => part.plot()));
    draw();
    return {
      runs, go, zoom, draw, view,
      show: seq => { for (const run of runs) if (run.bySeq.has(seq)) { go(run.bySeq.get(seq).p); return; } },
      // check-expiration at a record: a wall time may come twice.
      text: (index, node, seq, at) => {
        const run = runs[index], world = stateAt(run, Infinity, seq);
        return expiration(world.expiration.get(node), node, world, run.start, at);
      }
    };
  }

  function legend() {
    const items = [['ok0', 'on disk, valid'], ['ended', 'ended / failing'], ['early', 'not yet valid / partly / starting'], ['held0', 'held in memory / open connection / runs'], ['stale', 'held, but another one than on disk'], ['absent', 'not there']];
    const box = element('div', { class: 'legend' });
    for (const [cls, text] of items) box.insertAdjacentHTML('beforeend', `<span><svg width="18" height="8"><rect class="${cls}" width="18" height="8"/></svg> ${text}</span>`);
    box.insertAdjacentHTML('beforeend', '<span>│ written or started</span><span>● event</span>');
    return box;
  }

  function axisTicks(run, view, count) {
    const steps = [1000, 2000, 5000, 15000, 30000, 60000, 300000, 900000, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 61 * DAY, 91 * DAY, 182 * DAY, 365 * DAY, 730 * DAY, 1826 * DAY, 3652 * DAY];
    const step = steps.find(one => (view.t1 - view.t0) / one <= count) || 3652 * DAY, ticks = [];
    for (let p = Math.ceil(view.t0 / step) * step; p <= view.t1; p += step) {
      const text = date(run.start + wallAt(run, p));
      ticks.push({ p, text: step >= DAY ? text.slice(0, 10) : step >= 60000 ? text.slice(5, 16) : text.slice(11) });
    }
    return ticks;
  }

  const table = (head, rows) => rows.length ? `<table class="cards"><thead><tr>${head.map(one => `<th scope="col">${one}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>` : '<p class="facts">&nbsp;nothing at this instant</p>';
  const cell = (text, cls = '') => `<td${cls ? ` class="${cls}"` : ''}>${esc(text)}</td>`;
  const panels = {
    Certificates(run, world, p, at) {
      const held = new Map();
      for (const one of world.loaded.values()) {
        const node = one.process.split('@')[1], key = node + ':' + heldAs(one.process, one.slot, one.path);
        held.set(key, [...(held.get(key) || []), one]);
      }
      const disk = [...world.disk.values()].sort((a, b) => a.node.localeCompare(b.node, 'en', { numeric: true }) || a.path.localeCompare(b.path));
      const newest = new Map(disk.filter(one => DATED.test(one.path)).map(one => [one.node + ':' + undated(one.path), one]));
      return table(['node', 'file', 'subject', 'valid until', 'left', 'serial', 'in memory of'], disk.map(one => {
        const ahead = (world.nodes.get(one.node)?.ahead || 0) * 1000, left = one.na + 1000 - at - ahead;
        const state = left <= 0 ? ['ended', 'bad'] : at + ahead < one.nb ? ['not yet valid', 'unsure'] : [span(left), left < 30 * DAY ? 'unsure' : ''];
        const users = held.get(one.node + ':' + one.path) || (newest.get(one.node + ':' + undated(one.path)) === one ? held.get(one.node + ':' + undated(one.path)) : []) || [];
        const in_memory = users.map(user => {
          const same = user.certificate.id === one.id, until = same ? '' : ` <span class="bad">another one, until ${esc(date(run.start + user.certificate.na))}</span>`;
          return esc(user.process.split('@')[0]) + until;
        }).join('<br>');
        return `<tr>${cell(one.node, 'nw')}${cell(short(one.path))}${cell(one.subject)}${cell(date(run.start + one.na), 'nw')}${cell(state[0], state[1] + ' nw')}${cell(one.serial)}<td>${in_memory}</td></tr>`;
      }));
    },
    Edges(run, world) {
      const look = { ok: 'good', failing: 'bad', partial: 'unsure', absent: 'skipped' };
      return table(['connection', 'new', 'open', 'what the client says'], [...world.edges].sort((a, b) => (b[1].fresh.is === 'failing') - (a[1].fresh.is === 'failing')).map(([edge, one]) =>
        `<tr>${cell(edge)}${cell(one.fresh.is, look[one.fresh.is])}${cell(one.held.is, look[one.held.is])}${cell(one.fresh.text || one.held.text || '', 'long')}</tr>`));
    },
    CSRs: (run, world) => table(['name', 'requestor', 'signer', 'condition', 'created'], [...world.requests].map(([name, one]) =>
      `<tr>${cell(name, 'nw')}${cell(one.user)}${cell(one.signer)}${cell(one.state, one.state === 'Issued' ? 'good' : one.state === 'Denied' || one.state === 'Failed' ? 'bad' : 'unsure')}${cell(date(run.start + one.created), 'nw')}</tr>`)),
    Processes(run, world) {
      const nodes = [...world.nodes].map(([name, one]) => `<tr>${cell(name)}${cell(one.version)}${cell(one.powered ? 'on' : 'off')}${cell(one.ready === null ? 'not joined' : one.ready ? 'Ready' : 'NotReady', one.ready ? 'good' : 'bad')}${cell(one.ahead ? span(one.ahead * 1000) + ' ahead' : 'right')}</tr>`);
      const processes = [...world.processes].sort((a, b) => a[0].split('@')[1].localeCompare(b[0].split('@')[1], 'en', { numeric: true })).map(([name, one]) => `<tr>${cell(name)}${cell(one.state, one.state === 'running' ? 'good' : one.state === 'absent' ? 'skipped' : 'bad')}${cell(one.number || '')}</tr>`);
      return table(['node', 'version', 'power', 'condition', 'clock'], nodes) + table(['process', 'state', 'number'], processes);
    },
    'check-expiration'(run, world, p, at, node) {
      const recorded = world.expiration.get(node);
      if (!recorded) return '<p class="facts">&nbsp;no control plane at this instant</p>';
      const shown = (recorded.stderr ? recorded.stderr.trimEnd() + '\n' : '') + expiration(recorded, node, world, run.start, at);
      return `<pre data-expiration>${esc(shown)}</pre>${recorded.code ? `<p class="bad">&nbsp;exit code ${recorded.code}</p>` : ''}`;
    },
    Events(run, world, p) {
      const here = run.log.findLastIndex(one => one.p <= p), from = Math.max(0, here - 60);
      return table(['when', '', 'what'], run.log.slice(from, here + 30).map((one, i) =>
        `<tr class="${from + i === here ? 'current' : ''}"><td class="nw"><button type="button" class="go" data-p="${one.p}">${date(run.start + one.at)}</button></td>${cell(one.what, 'nw ' + (one.weight === 2 ? 'bad' : ''))}<td class="long">${one.node ? `<strong>${esc(one.node)}</strong> ` : ''}${esc(one.text)}${one.detail ? `<details><summary>output</summary><pre>${esc(one.detail)}</pre></details>` : ''}</td></tr>`));
    }
  };

  // ---- the page ----
  const views = new Map();
  const ensure = run => { const place = run.querySelector('.view'); if (place && !views.has(place)) views.set(place, open(place)); return views.get(place); };
  document.body.append(tip);
  for (const run of document.querySelectorAll('details.run')) {
    if (run.open) ensure(run);
    run.addEventListener('toggle', () => { if (run.open) ensure(run); });
    run.addEventListener('click', event => {
      const to = event.target.closest('[data-seq]'), copy = event.target.closest('button.copy');
      if (to) { const view = ensure(run); view.show(Number(to.dataset.seq)); run.querySelector('.view').scrollIntoView({ block: 'start' }); }
      if (copy) { const code = copy.parentElement.querySelector('code'); navigator.clipboard?.writeText(code.textContent).then(() => { copy.textContent = 'copied'; }, () => getSelection().selectAllChildren(code)); }
    });
  }
  const follow = () => { const run = location.hash && document.getElementById(location.hash.slice(1)); if (run) { run.open = true; ensure(run); run.scrollIntoView(); } };
  addEventListener('hashchange', follow);
  addEventListener('keydown', event => { if (event.key === 'Escape') tip.hidden = true; });
  addEventListener('beforeprint', () => { for (const run of document.querySelectorAll('details.run[open]')) ensure(run); });
  follow();
  return { ensure, humanDuration, view: index => ensure(document.getElementById('run-' + index)) };
})();

/* The space-time diagram: one line per agent, time to the right, on a canvas with level of detail. */

const GUTTER = 112, TOP = 54, FOOT = 26, EDGE = 14;

class Diagram {
  constructor(canvas, run) {
    this.canvas = canvas;
    this.run = run;
    this.pen = canvas.getContext("2d");
    this.shown = run.agents.map(() => true);
    this.onlyCone = false;
    this.pinned = null;
    this.hover = -1;
    this.found = null;
    this.view = [0, run.end];
    this.undoneCount = run.agents.map(() => 0);
    for (const i of run.undone) this.undoneCount[run.agent[i]]++;
    this.messages = [...run.indices(i => run.producer[i] >= 0)];
    this.cuts = new Cuts(this);
    this.recolour();
  }

  recolour() {
    const style = getComputedStyle(document.documentElement);
    this.colour = Object.fromEntries(["card", "ink", "soft", "line", "faint", "step", "undone", "again", "causes", "effects", "band", "cut"]
      .map(name => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  }

  layout() {
    const count = this.shown.filter(Boolean).length, tall = Math.max(24, Math.min(44, Math.round(520 / Math.max(count, 1))));
    this.tall = tall;
    this.ys = [];
    let y = TOP + tall / 2 + 2, family = null;
    this.run.agents.forEach((_, row) => {
      if (!this.shown[row]) { this.ys.push(NaN); return; }
      if (family !== null && family !== this.run.families[row]) y += 7;
      family = this.run.families[row];
      this.ys.push(y);
      y += tall;
    });
    this.bottom = y - tall / 2 + 4;
    this.axis = this.bottom + 15 + this.cuts.lanes;
    const width = this.canvas.clientWidth, height = this.axis + FOOT - 15, ratio = window.devicePixelRatio || 1;
    this.canvas.style.height = `${height}px`;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    this.width = width;
    this.height = height;
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.scale = Math.max(1, width - GUTTER - EDGE) / (this.view[1] - this.view[0]);
  }

  x(us) { return GUTTER + (us - this.view[0]) * this.scale; }
  us(x) { return this.view[0] + (x - GUTTER) / this.scale; }
  point(i) { return [this.x(this.run.time[i]), this.ys[this.run.agent[i]]]; }
  visible(i) { return this.shown[this.run.agent[i]] && this.run.time[i] >= this.view[0] && this.run.time[i] <= this.view[1]; }

  between(row, from, to) {
    const steps = this.run.rows[row], time = this.run.time;
    const first = limit => { let a = 0, b = steps.length; while (a < b) { const m = (a + b) >> 1; if (time[steps[m]] < limit) a = m + 1; else b = m; } return a; };
    return [first(from), first(to + 1e-6)];
  }

  draw() {
    this.layout();
    const { pen, run } = this;
    pen.clearRect(0, 0, this.width, this.height);
    pen.font = this.font;
    pen.textBaseline = "middle";
    this.drawAxis();
    this.drawRows();
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER - 8, 0, this.width - GUTTER + 8, this.bottom);
    pen.clip();
    this.drawBands();
    this.cuts.drawRestores();
    const focus = this.focus(), quiet = focus ? 0.3 : 1;
    this.drawMessages(quiet);
    if (!this.onlyCone) this.drawSurvivors(quiet);
    this.cuts.draw();
    const seen = i => this.visible(i), undone = run.undone.filter(seen), again = run.again.filter(seen);
    const fit = steps => Math.max(3, Math.min(6.5, this.crowding(steps) * 0.6)), size = fit(undone), fresh = fit(again);
    const lit = i => !focus || focus.has(i);
    for (const i of again) this.markAgain(i, fresh, lit(i) ? 1 : 0.3);
    for (const i of undone) if (!run.roots.has(i)) this.markUndone(i, size, lit(i) ? 1 : 0.3);
    for (const i of undone) if (run.roots.has(i)) this.markUndone(i, size, lit(i) ? 1 : 0.3);
    this.drawSelection(size);
    this.drawFound();
    this.drawHover(size);
    pen.restore();
    this.drawBandLabels();
    this.cuts.drawLabels();
  }

  focus() {
    if (!this.pinned) return null;
    return this.focusSet ??= new Set([this.pinned.step, ...this.pinned.causes, ...this.pinned.consequences]);
  }

  pin(step) {
    this.focusSet = null;
    this.pinned = step < 0 ? null : { step, causes: this.run.causes(step), consequences: this.run.consequences(step) };
  }

  drawAxis() {
    const { pen, colour } = this, [from, to] = this.view;
    const rough = (to - from) / Math.max(2, (this.width - GUTTER) / 120), base = 10 ** Math.floor(Math.log10(rough));
    const unit = base * [1, 2, 5, 10].find(n => n * base >= rough);
    pen.textAlign = "center";
    for (let t = Math.ceil(from / unit) * unit; t <= to; t += unit) {
      const x = Math.round(this.x(t)) + 0.5;
      pen.fillStyle = colour.faint;
      pen.fillRect(x - 0.5, TOP - 2, 1, this.bottom - TOP + 4);
      pen.fillStyle = colour.soft;
      const label = tickTime(t, unit);
      if (x + pen.measureText(label).width / 2 < this.width) pen.fillText(label, x, this.axis);
    }
  }

  drawRows() {
    const { pen, colour, run } = this;
    run.agents.forEach((name, row) => {
      if (!this.shown[row]) return;
      const y = this.ys[row], undone = this.undoneCount[row], two = undone && this.tall >= 30;
      pen.fillStyle = colour.line;
      pen.fillRect(GUTTER - 8, Math.round(y), this.width - GUTTER + 8 - EDGE + 6, 1);
      pen.textAlign = "right";
      pen.fillStyle = colour.ink;
      const fits = name.length > 16 ? `${name.slice(0, 15)}…` : name;
      pen.fillText(fits, GUTTER - 16, two ? y - 6 : y);
      if (two) {
        pen.fillStyle = colour.undone;
        pen.font = this.font.replace("12px", "10.5px");
        pen.fillText(`${undone.toLocaleString("en-US")} undone`, GUTTER - 16, y + 8);
        pen.font = this.font;
      }
    });
  }

  drawBands() {
    const { pen, colour } = this;
    this.bands = this.run.proposals.map(p => {
      const a = this.x(p.began), b = Math.max(a + 1.5, this.x(p.decided ?? this.run.end));
      return { proposal: p, a: Math.max(a, GUTTER - 8), b: Math.min(b, this.width), seen: b >= GUTTER && a <= this.width };
    }).filter(band => band.seen);
    for (const { proposal, a, b } of this.bands) {
      pen.fillStyle = proposal.decision === "commit" ? colour.band : colour.step;
      pen.globalAlpha = 0.16;
      pen.fillRect(a, TOP - 10, b - a, this.bottom - TOP + 10);
      pen.globalAlpha = 0.85;
      pen.fillRect(a, TOP - 10, 1.25, this.bottom - TOP + 10);
      if (proposal.decided !== null) pen.fillRect(b - 1.25, TOP - 10, 1.25, this.bottom - TOP + 10);
      pen.globalAlpha = 1;
    }
  }

  drawBandLabels() {
    const { pen, colour } = this, ends = [-1e9, -1e9];
    pen.textAlign = "left";
    for (const { proposal: p, a } of this.bands) {
      const name = p.id.length > 18 ? `${p.id.slice(0, 17)}…` : p.id;
      const text = `${name} · ${p.decision}${p.decided === null ? "" : ` in ${shownTime(p.decided - p.began)}`}`;
      const wide = pen.measureText(text).width + 14, x = Math.max(GUTTER - 8, Math.min(a, this.width - wide - 2));
      const lane = ends.findIndex(end => end + 4 <= x);
      if (lane < 0) continue;
      ends[lane] = x + wide;
      const y = TOP - 20 - lane * 20;
      pen.fillStyle = colour.card;
      pen.globalAlpha = 0.9;
      pen.beginPath(); pen.roundRect(x, y - 9, wide, 18, 4); pen.fill();
      pen.fillStyle = p.decision === "commit" ? colour.band : colour.step;
      pen.globalAlpha = 0.24;
      pen.beginPath(); pen.roundRect(x, y - 9, wide, 18, 4); pen.fill();
      pen.globalAlpha = 1;
      pen.fillRect(x, y - 9, 2, TOP - 10 - y + 9);
      pen.fillStyle = colour.ink;
      pen.fillText(text, x + 8, y + 0.5);
    }
  }

  /* Strips where an agent's steps stand closer than a mark, marks elsewhere. */
  drawSurvivors(quiet) {
    const { pen, run, colour } = this, [from, to] = this.view, span = this.width - GUTTER;
    const dense = [], sparse = [];
    run.agents.forEach((_, row) => {
      if (!this.shown[row]) return;
      const [a, b] = this.between(row, from, to);
      (b - a > span / 7 ? dense : sparse).push([row, a, b]);
    });
    const fullest = sparse.reduce((most, [, a, b]) => Math.max(most, b - a), 1);
    const size = Math.max(2.4, Math.min(6, (span / fullest) * 0.26));
    pen.fillStyle = colour.step;
    for (const [row, a, b] of sparse) {
      for (let n = a; n < b; n++) {
        const i = run.rows[row][n];
        if (run.kind[i] !== SURVIVED && run.kind[i] !== RESTORED) continue;
        const [x, y] = this.point(i), back = run.kind[i] === RESTORED;
        pen.globalAlpha = quiet === 1 || this.focus()?.has(i) ? 1 : quiet;
        pen.fillStyle = back ? colour.card : colour.step;
        pen.beginPath(); pen.arc(x, y + 0.5, back ? size * 0.9 : size, 0, 7); pen.fill();
        if (back) { pen.strokeStyle = colour.cut; pen.lineWidth = size > 4 ? 1.5 : 1; pen.stroke(); }
      }
    }
    const bin = 2 ** Math.ceil(Math.log2(3 / this.scale)), wide = bin * this.scale, piles = [];
    let most = 1;
    for (const [row, a, b] of dense) {
      const stand = new Map(), back = new Map();
      for (let n = a; n < b; n++) {
        const i = run.rows[row][n];
        if (run.kind[i] !== SURVIVED && run.kind[i] !== RESTORED) continue;
        const pile = run.kind[i] === SURVIVED ? stand : back, at = Math.floor(run.time[i] / bin), count = (pile.get(at) ?? 0) + 1;
        pile.set(at, count);
        if (count > most) most = count;
      }
      piles.push([row, stand, colour.step, 0.75], [row, back, colour.cut, 0.32]);
    }
    for (const [row, pile, paint, alpha] of piles) {
      pen.fillStyle = paint;
      pen.globalAlpha = alpha * (quiet === 1 ? 1 : 0.5);
      for (const [at, count] of pile) {
        const high = Math.max(3, this.tall * 0.62 * Math.sqrt(count / most));
        pen.fillRect(this.x(at * bin), this.ys[row] + 0.5 - high / 2, Math.max(1, wide - 0.6), high);
      }
    }
    pen.globalAlpha = 1;
  }

  line(pairs, colour, width, alpha, dash = []) {
    const { pen } = this;
    pen.strokeStyle = colour; pen.lineWidth = width; pen.globalAlpha = alpha;
    pen.setLineDash(dash);
    pen.beginPath();
    for (const [a, b] of pairs) {
      const [x, y] = this.point(a), [u, v] = this.point(b);
      pen.moveTo(x, y);
      if (y === v) pen.quadraticCurveTo((x + u) / 2, y - Math.min(this.tall * 0.8, 6 + (u - x) / 3), u, v);
      else pen.lineTo(u, v);
    }
    pen.stroke();
    pen.setLineDash([]);
    if (pairs.length < 260) this.heads(pairs, colour);
    pen.globalAlpha = 1;
  }

  heads(pairs, colour) {
    const { pen } = this;
    pen.fillStyle = colour;
    for (const [a, b] of pairs) {
      const [x, y] = this.point(a), [u, v] = this.point(b), long = Math.hypot(u - x, v - y);
      if (long < 26 || y === v) continue;
      const c = (u - x) / long, s = (v - y) / long, p = u - c * 7, q = v - s * 7;
      pen.beginPath(); pen.moveTo(p, q);
      pen.lineTo(p - c * 7 + s * 3.2, q - s * 7 - c * 3.2); pen.lineTo(p - c * 7 - s * 3.2, q - s * 7 + c * 3.2); pen.fill();
    }
  }

  drawMessages(quiet) {
    const { run, colour } = this, [from, to] = this.view, plain = [], undone = [], again = [];
    for (const i of this.messages) {
      const p = run.producer[i];
      if (run.time[i] < from || run.time[p] > to || !this.shown[run.agent[i]] || !this.shown[run.agent[p]]) continue;
      if (run.kind[i] === UNDONE && run.kind[p] === UNDONE) undone.push([p, i]);
      else if (run.kind[i] === AGAIN) again.push([p, i]);
      else if (!this.onlyCone) plain.push([p, i]);
    }
    const room = this.width - GUTTER, thin = (pairs, least) => Math.max(least, Math.min(0.85, (room * 0.22) / Math.max(1, pairs.length)));
    if (plain.length < room * 0.9) this.line(plain, colour.step, 1, thin(plain, 0.22) * 0.8 * quiet);
    this.line(again, colour.again, 1, thin(again, 0.2) * 0.8 * quiet);
    const close = this.crowding(undone.map(([, i]) => i)) < 4;
    this.line(undone, colour.undone, close ? 1 : 1.5, (close ? 0.5 : thin(undone, 0.4)) * quiet, close ? [3, 3] : [5, 3.5]);
    const read = this.run.tainted.filter(([w, i]) => run.time[i] >= from && run.time[w] <= to && this.shown[run.agent[i]] && this.shown[run.agent[w]]);
    this.line(read, colour.undone, 1.4, Math.min(close ? 0.35 : 0.8, thin(read, 0.1)) * quiet, [1.5, 3]);
  }

  /* Pixels per step, where the steps of one agent stand closest together on average. */
  crowding(steps) {
    const rows = new Map();
    for (const i of steps) {
      const x = this.x(this.run.time[i]), row = rows.get(this.run.agent[i]) ?? [x, x, 0];
      rows.set(this.run.agent[i], [Math.min(row[0], x), Math.max(row[1], x), row[2] + 1]);
    }
    let least = Infinity;
    for (const [a, b, count] of rows.values()) if (count > 1) least = Math.min(least, (b - a) / (count - 1));
    return least;
  }

  markUndone(i, size, alpha) {
    const { pen, colour } = this, [x, y] = this.point(i), root = this.run.roots.has(i);
    pen.globalAlpha = alpha;
    pen.lineWidth = size > 4 ? 2 : 1.4;
    pen.strokeStyle = colour.undone;
    pen.beginPath();
    if (root) {
      const r = size * 1.5;
      pen.moveTo(x, y - r); pen.lineTo(x + r, y); pen.lineTo(x, y + r); pen.lineTo(x - r, y); pen.closePath();
      pen.fillStyle = colour.undone;
    } else {
      pen.arc(x, y + 0.5, size, 0, 7);
      pen.fillStyle = colour.card;
    }
    pen.fill(); pen.stroke();
    const r = size + 3.5;
    for (const [ink, width] of root ? [[colour.card, 4], [colour.ink, 2]] : [[colour.ink, size > 4 ? 2 : 1.4]]) {
      pen.strokeStyle = ink; pen.lineWidth = width;
      pen.beginPath(); pen.moveTo(x - r, y + 0.5 + r * 0.75); pen.lineTo(x + r, y + 0.5 - r * 0.75); pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  markAgain(i, size, alpha) {
    const { pen, colour } = this, [x, y] = this.point(i), r = size * 0.95;
    pen.globalAlpha = alpha;
    pen.fillStyle = colour.again;
    pen.strokeStyle = colour.card;
    pen.lineWidth = 1;
    pen.beginPath(); pen.roundRect(x - r, y + 0.5 - r, 2 * r, 2 * r, r * 0.4); pen.fill();
    if (size > 4.5) pen.stroke();
    pen.globalAlpha = 1;
  }

  ring(i, colour, size, width = 2) {
    if (!this.visible(i)) return;
    const { pen } = this, [x, y] = this.point(i);
    pen.strokeStyle = colour; pen.lineWidth = width;
    pen.beginPath(); pen.arc(x, y + 0.5, size, 0, 7); pen.stroke();
  }

  drawSelection(size) {
    if (!this.pinned) return;
    const { run, colour, pinned } = this;
    const inside = (set, i) => set.has(i) || i === pinned.step;
    for (const [set, paint] of [[pinned.causes, colour.causes], [pinned.consequences, colour.effects]]) {
      const pairs = [];
      for (const i of set.size ? [...set, pinned.step] : []) {
        for (let n = run.up.at[i]; n < run.up.at[i + 1]; n++) {
          const p = run.up.items[n];
          if (inside(set, p) && inside(set, i) && this.shown[run.agent[i]] && this.shown[run.agent[p]]) pairs.push([p, i]);
        }
      }
      this.line(pairs, paint, 1.8, Math.max(0.25, Math.min(0.9, 300 / Math.max(1, pairs.length))));
      for (const i of set) this.ring(i, paint, size + 2.5, 1.6);
    }
    this.ring(pinned.step, colour.ink, size + 5.5, 2.4);
  }

  drawFound() {
    if (this.found) for (const i of this.found) this.ring(i, this.colour.ink, 8, 1.6);
  }

  drawHover(size) {
    const { pen, run, colour } = this, i = this.hover;
    if (i < 0) return;
    this.ring(i, colour.ink, size + 4, 2);
    const partners = run.replacedBy.has(i) ? [run.replacedBy.get(i)] : run.originals.get(i) ?? [];
    for (const j of partners) {
      if (!this.shown[run.agent[j]]) continue;
      const [x, y] = this.point(i), [u, v] = this.point(j);
      pen.strokeStyle = colour.again; pen.lineWidth = 2; pen.setLineDash([2, 3]);
      pen.beginPath(); pen.moveTo(x, y);
      pen.quadraticCurveTo((x + u) / 2, y - Math.min(70, 18 + Math.abs(u - x) / 5), u, v); pen.stroke(); pen.setLineDash([]);
      this.ring(j, colour.again, size + 4, 2);
    }
  }

  /* The step nearest to a point, cone steps before others; -1 if none is close. */
  hit(x, y) {
    const { run } = this;
    let best = -1, least = 11;
    this.ys.forEach((row, agent) => {
      if (!(Math.abs(row - y) < Math.max(10, this.tall / 2))) return;
      const [a, b] = this.between(agent, this.us(x - 11), this.us(x + 11));
      for (let n = a; n < b; n++) {
        const i = run.rows[agent][n];
        if (this.onlyCone && (run.kind[i] === SURVIVED || run.kind[i] === RESTORED)) continue;
        const away = Math.abs(this.x(run.time[i]) - x) + (run.kind[i] === SURVIVED ? 2.5 : 0);
        if (away < least) { least = away; best = i; }
      }
    });
    return best;
  }
}

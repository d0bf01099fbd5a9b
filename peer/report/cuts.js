/* Checkpoints and restores in the space-time diagram: cuts across the lifelines, and the ways back to them. */

class Cuts {
  constructor(diagram) {
    this.diagram = diagram;
    this.run = diagram.run;
    this.seen = [];
    this.backs = [];
    this.goals = new Set(this.run.restores.map(r => r.epoch));
    /* Room for labels between the lifelines and the axis. */
    this.lanes = (this.run.checkpoints.length ? 20 : 0) + (this.run.restores.length ? 22 : 0);
  }

  /* Where each shown agent's cut stands, top down. */
  points(checkpoint) {
    const { shown, ys } = this.diagram;
    return checkpoint.cuts.filter(([row]) => shown[row]).map(([row, time]) => [this.diagram.x(time), ys[row] + 0.5]);
  }

  /* A checkpoint: a line through each agent's cut. What is left of it is inside. */
  draw() {
    const { pen, colour, view: [from, to], width } = this.diagram;
    const inside = this.run.checkpoints.filter(c => { const span = this.run.cutSpan(c.epoch); return span && span[1] >= from && span[0] <= to; });
    const quiet = Math.max(0.3, Math.min(0.85, (width - GUTTER) / (60 * Math.max(1, inside.length))));
    this.seen = [];
    for (const c of inside) {
      const points = this.points(c), goal = this.goals.has(c.epoch);
      if (!points.length) continue;
      pen.strokeStyle = pen.fillStyle = colour.cut;
      pen.globalAlpha = goal ? 1 : quiet;
      pen.lineWidth = goal ? 2 : 1.3;
      pen.lineJoin = "round";
      this.trace(points);
      pen.stroke();
      const tick = goal || quiet > 0.7 ? 3.5 : 2.5;
      for (const [x, y] of points) pen.fillRect(x - tick, y - 1.5, 2 * tick, 3);
      pen.globalAlpha = 1;
      this.seen.push({ epoch: c.epoch, x: points[points.length - 1][0], goal });
    }
  }

  trace(points) {
    const { pen, bottom } = this.diagram;
    pen.beginPath();
    pen.moveTo(points[0][0], TOP - 4);
    for (const [x, y] of points) pen.lineTo(x, y);
    pen.lineTo(points[points.length - 1][0], bottom);
  }

  /* What a restore took back: all between the cut and the moment at which it was carried out. */
  drawRestores() {
    const { pen, colour, view: [from, to], bottom } = this.diagram, x = us => this.diagram.x(us);
    this.backs = this.run.restores.map(restore => {
      const checkpoint = this.run.checkpoints.find(c => c.epoch === restore.epoch), points = checkpoint ? this.points(checkpoint) : [];
      const a = points.length ? points[points.length - 1][0] : x(restore.decided);
      return { restore, points, a, b: x(restore.decided), done: x(restore.done), seen: Math.min(a, x(restore.decided)) <= x(to) && restore.done >= from };
    }).filter(back => back.seen);
    for (const { points, b, done } of this.backs) {
      pen.fillStyle = colour.cut;
      if (points.length) {
        pen.globalAlpha = 0.07;
        this.trace(points);
        pen.lineTo(b, bottom); pen.lineTo(b, TOP - 4);
        pen.fill();
      }
      pen.globalAlpha = 0.28;
      pen.fillRect(b, TOP - 4, done - b, bottom - TOP + 4);
      pen.globalAlpha = 1;
      pen.fillRect(b - 1, TOP - 4, 2, bottom - TOP + 4);
      pen.fillRect(Math.max(b, done - 1), TOP - 4, 1, bottom - TOP + 4);
    }
  }

  drawLabels() {
    for (const back of this.backs) this.arrow(back);
    this.epochs();
    for (const back of this.backs) this.label(back);
  }

  /* Epochs in a lane below the lifelines, as many as there is room for; those that were gone back to first. */
  epochs() {
    const { pen, width } = this.diagram, taken = [];
    const roomy = this.seen.length * 110 < width - GUTTER;
    pen.textAlign = "center";
    for (const { epoch, x, goal } of this.seen.sort((a, b) => b.goal - a.goal)) {
      const half = text => pen.measureText(text).width / 2 + 7, free = text => !taken.some(([a, b]) => x + half(text) > a && x - half(text) < b);
      const text = (roomy || goal ? [`checkpoint ${epoch}`, `${epoch}`] : [`${epoch}`]).find(free);
      if (x < GUTTER - 8 || x > width || !text) continue;
      this.pill(text, x, half(text), goal, taken);
    }
  }

  pill(text, x, half, goal, taken) {
    const { pen, colour, width, bottom } = this.diagram, y = bottom + 12;
    const at = Math.min(Math.max(x, GUTTER - 8 + half), width - half);
    taken.push([at - half - 3, at + half + 3]);
    for (const [paint, alpha] of goal ? [[colour.cut, 1]] : [[colour.card, 1], [colour.cut, 0.14]]) {
      pen.fillStyle = paint;
      pen.globalAlpha = alpha;
      pen.beginPath(); pen.roundRect(at - half, y - 8.5, 2 * half, 17, 8.5); pen.fill();
    }
    pen.globalAlpha = 1;
    pen.fillStyle = goal ? colour.card : colour.cut;
    pen.fillText(text, at, y + 0.5);
  }

  /* From where a restore was carried out back to its checkpoint, below the lifelines. */
  arrow({ a, b }) {
    const { pen, colour, width, bottom } = this.diagram, y = bottom + 34, start = a >= GUTTER - 8, end = b <= width;
    if (b - a < 4) return;
    const left = start ? a : GUTTER - 8, right = end ? b : width, bend = Math.min(7, (right - left) / 2);
    pen.strokeStyle = pen.fillStyle = colour.cut;
    pen.lineWidth = 2;
    pen.beginPath();
    if (end) { pen.moveTo(b, bottom); pen.lineTo(b, y - bend); pen.quadraticCurveTo(b, y, b - bend, y); } else pen.moveTo(right, y);
    pen.lineTo(left + (start ? bend : 0), y);
    if (start) { pen.quadraticCurveTo(a, y, a, y - bend); pen.lineTo(a, y - 8); }
    pen.stroke();
    if (start) { pen.beginPath(); pen.moveTo(a, y - 14); pen.lineTo(a - 5, y - 5.5); pen.lineTo(a + 5, y - 5.5); pen.fill(); }
  }

  label({ restore, a, b }) {
    const { pen, colour, width, bottom } = this.diagram, y = bottom + 34;
    const text = `restore ${restore.number}: back to checkpoint ${restore.epoch}, in ${shownTime(restore.done - restore.decided)}`;
    const wide = pen.measureText(text).width + 18, middle = (Math.max(a, GUTTER - 8) + Math.min(b, width - 2)) / 2;
    const at = Math.max(GUTTER - 8 + wide / 2, Math.min(width - wide / 2 - 2, middle));
    pen.fillStyle = colour.card;
    pen.strokeStyle = colour.cut;
    pen.lineWidth = 1.3;
    pen.beginPath(); pen.roundRect(at - wide / 2, y - 9, wide, 18, 9); pen.fill(); pen.stroke();
    pen.textAlign = "center";
    pen.fillStyle = colour.cut;
    pen.fillText(text, at, y + 0.5);
  }
}

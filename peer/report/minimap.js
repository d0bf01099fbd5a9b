/* The whole run in a strip, with the window that the diagram shows: drag it, drag its edges, or click. */

class Minimap {
  constructor(canvas, diagram, moved) {
    this.canvas = canvas;
    this.diagram = diagram;
    this.run = diagram.run;
    this.moved = moved;
    this.grip = null;
    canvas.addEventListener("pointerdown", event => this.take(event));
    canvas.addEventListener("pointermove", event => this.pull(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { this.grip = null; });
  }

  x(us) { return GUTTER + (us / this.run.end) * (this.width - GUTTER - EDGE); }
  us(x) { return ((x - GUTTER) / (this.width - GUTTER - EDGE)) * this.run.end; }

  take(event) {
    const x = event.offsetX, [from, to] = this.diagram.view.map(t => this.x(t));
    this.canvas.setPointerCapture(event.pointerId);
    if (Math.abs(x - from) < 6 && to - from > 14) this.grip = { edge: 0 };
    else if (Math.abs(x - to) < 6 && to - from > 14) this.grip = { edge: 1 };
    else {
      if (x < from || x > to) this.centre(this.us(x));
      this.grip = { at: this.us(x), view: [...this.diagram.view] };
    }
  }

  pull(event) {
    if (!this.grip) return;
    const at = this.us(event.offsetX), view = [...this.diagram.view];
    if (this.grip.edge !== undefined) {
      view[this.grip.edge] = at;
      if (view[1] - view[0] > 50) this.moved(view);
    } else this.moved(this.grip.view.map(t => t + at - this.grip.at));
  }

  centre(at) {
    const half = (this.diagram.view[1] - this.diagram.view[0]) / 2;
    this.moved([at - half, at + half]);
  }

  /* What does not change while the window moves, drawn once per size and palette. */
  backdrop(width, height, ratio) {
    const still = document.createElement("canvas"), pen = still.getContext("2d"), { run } = this, { colour } = this.diagram;
    still.width = Math.round(width * ratio);
    still.height = Math.round(height * ratio);
    pen.scale(ratio, ratio);
    const wide = Math.max(1, Math.ceil((width - GUTTER - EDGE) / 2)), piles = new Float64Array(wide + 1);
    for (let i = 0; i < run.size; i++) if (run.kind[i] === SURVIVED || run.kind[i] === RESTORED) piles[Math.floor((this.x(run.time[i]) - GUTTER) / 2)]++;
    const most = Math.max(1, ...piles);
    pen.fillStyle = colour.step;
    pen.globalAlpha = 0.55;
    piles.forEach((count, n) => { const high = count && 2 + (count / most) * (height - 22); pen.fillRect(GUTTER + n * 2, height - 6 - high, 1.6, high); });
    pen.globalAlpha = 0.35;
    pen.fillStyle = colour.band;
    for (const p of run.proposals) pen.fillRect(this.x(p.began), 2, Math.max(1.5, this.x(p.decided ?? run.end) - this.x(p.began)), height - 8);
    pen.fillStyle = colour.cut;
    for (const r of run.restores) {
      const back = run.cutSpan(r.epoch);
      if (!back) continue;
      pen.globalAlpha = 0.13;
      pen.fillRect(this.x(back[0]), 2, this.x(r.decided) - this.x(back[0]), height - 8);
    }
    pen.globalAlpha = 0.8;
    for (const c of run.checkpoints) pen.fillRect(this.x(run.cutSpan(c.epoch)[0]) - 0.6, height - 6, 1.2, 5);
    const rows = run.agents.length || 1;
    pen.globalAlpha = 0.9;
    for (const [steps, paint] of [[run.again, colour.again], [run.undone, colour.undone]]) {
      pen.fillStyle = paint;
      for (const i of steps) pen.fillRect(this.x(run.time[i]) - 0.75, 4 + (run.agent[i] / rows) * (height - 14), 1.5, Math.max(2.5, (height - 14) / rows));
    }
    return still;
  }

  draw() {
    const ratio = window.devicePixelRatio || 1, width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    const { colour, font } = this.diagram, key = [width, height, ratio, colour.card].join();
    this.width = width;
    if (this.key !== key) {
      this.key = key;
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.still = this.backdrop(width, height, ratio);
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = colour.faint;
    pen.fillRect(GUTTER - 8, 0, width - GUTTER + 8, height);
    pen.drawImage(this.still, 0, 0, width, height);
    pen.font = font;
    pen.fillStyle = colour.soft;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    pen.fillText("whole run", GUTTER - 16, height / 2);
    const edge = width - 2, a = Math.min(Math.max(GUTTER - 8, this.x(this.diagram.view[0])), edge), b = Math.max(a + 3, Math.min(edge, this.x(this.diagram.view[1])));
    pen.fillStyle = colour.card;
    pen.globalAlpha = 0.62;
    pen.fillRect(GUTTER - 8, 0, a - GUTTER + 8, height);
    pen.fillRect(b, 0, width - b, height);
    pen.globalAlpha = 1;
    pen.strokeStyle = colour.ink;
    pen.lineWidth = 1.5;
    pen.strokeRect(a, 0.75, b - a, height - 1.5);
    pen.fillStyle = colour.ink;
    for (const x of [a, b]) { pen.beginPath(); pen.roundRect(x - 2.5, height / 2 - 9, 5, 18, 2.5); pen.fill(); }
  }
}

/* The page's hands: buttons, wheel, drag, keys, filters, search, the address bar. */

const $ = id => document.getElementById(id);
const run = new Run(JSON.parse($("model").textContent));
const diagram = new Diagram($("diagram"), run);
const minimap = new Minimap($("minimap"), diagram, view => show(view));
const texts = new Texts(run, i => goTo(i));
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
let pending = false, flight = 0;

function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; diagram.draw(); minimap.draw(); });
}

/* Show a window of time: at least 40 microseconds, at most a little more than the run. */
function show([from, to], { glide = false, named = null } = {}) {
  const room = run.end * 0.015, most = run.end + 2 * room, wide = Math.min(most, Math.max(40, to - from));
  const middle = (from + to) / 2, start = Math.max(-room, Math.min(run.end + room - wide, middle - wide / 2));
  const target = [start, start + wide];
  cancelAnimationFrame(flight);
  if (glide && !calm.matches) {
    const before = [...diagram.view], began = performance.now();
    const fly = now => {
      const t = Math.min(1, Math.max(0, (now - began) / 280)), ease = 1 - (1 - t) ** 3;
      diagram.view = target.map((goal, n) => before[n] + (goal - before[n]) * ease);
      redraw();
      if (t < 1) flight = requestAnimationFrame(fly);
    };
    flight = requestAnimationFrame(fly);
  } else {
    diagram.view = target;
    redraw();
  }
  for (const [n, id] of ["from", "to"].entries()) if (document.activeElement !== $(id)) $(id).value = Math.max(0, Math.round(target[n] / 10)) / 100;
  remember(named, target);
}

function remember(named, [from, to]) {
  const parts = [named ? `view=${named}` : `from=${Math.round(from)}&to=${Math.round(to)}`];
  if (diagram.pinned) parts.push(`step=${encodeURIComponent(run.id(diagram.pinned.step))}`);
  clearTimeout(remember.later);
  remember.later = setTimeout(() => { try { history.replaceState(null, "", `#${parts.join("&")}`); } catch { /* some viewers forbid it */ } }, 200);
  remember.named = named;
}

const whole = (how = {}) => show([-run.end, 2 * run.end], { named: "whole", ...how });
const rollback = (how = {}) => show(run.rollbackSpan(), { named: "rollback", ...how });

function zoom(factor, at = (diagram.view[0] + diagram.view[1]) / 2) {
  const [from, to] = diagram.view;
  if (to - from <= 40 && factor < 1) return;
  show([at - (at - from) * factor, at + (to - at) * factor]);
}

function pan(part) {
  const by = (diagram.view[1] - diagram.view[0]) * part;
  show(diagram.view.map(t => t + by));
}

function pin(i) {
  diagram.pin(i);
  const panel = $("panel");
  panel.hidden = i < 0;
  panel.replaceChildren(...(i < 0 ? [] : texts.panel(diagram.pinned, () => pin(-1))));
  panel.scrollTop = 0;
  remember(remember.named, diagram.view);
  redraw();
}

/* Select a step from a table or the panel and bring it into the window. */
function goTo(i) {
  const row = run.agent[i];
  if (!diagram.shown[row]) { diagram.shown[row] = true; chips(); }
  const [from, to] = diagram.view, half = (to - from) / 2;
  if (run.time[i] < from + half * 0.1 || run.time[i] > to - half * 0.1) show([run.time[i] - half, run.time[i] + half], { glide: true });
  pin(i);
  const box = $("diagram").getBoundingClientRect();
  if (box.bottom < 120 || box.top > innerHeight - 120) $("spacetime").scrollIntoView({ behavior: calm.matches ? "auto" : "smooth" });
}

function chips() {
  const set = wanted => () => { diagram.shown = run.agents.map((_, row) => wanted(row)); chips(); };
  const touched = row => diagram.undoneCount[row] > 0;
  const box = (name, row) => {
    const input = node("input", { type: "checkbox", onchange: () => { diagram.shown[row] = input.checked; redraw(); } });
    input.checked = diagram.shown[row];
    return node("label", {}, input, name, touched(row) ? node("span", { class: "count", title: "undone steps" }, diagram.undoneCount[row].toLocaleString("en-US")) : null);
  };
  $("chips").replaceChildren(...run.agents.map(box), node("button", { onclick: set(() => true) }, "all"),
    ...(run.undone.length ? [node("button", { onclick: set(touched) }, "only those touched")] : []));
  redraw();
}

function search() {
  const hits = diagram.found = run.search($("search").value);
  $("found").textContent = hits ? (hits.length ? `${hits.length.toLocaleString("en-US")} step${hits.length === 1 ? "" : "s"} · Enter: next` : "nothing found") : "";
  search.next = 0;
  redraw();
}

function searchNext() {
  const hits = diagram.found;
  if (!hits?.length) return;
  const first = hits.reduce((a, i) => Math.min(a, run.time[i]), Infinity), last = hits.reduce((a, i) => Math.max(a, run.time[i]), 0);
  if (search.next === 0 && hits.length < 200) show([first - (last - first) * 0.15 - 2000, last + (last - first) * 0.15 + 2000]);
  goTo(hits[search.next++ % hits.length]);
}

function reset() {
  diagram.onlyCone = $("only").checked = false;
  $("search").value = "";
  diagram.shown.fill(true);
  chips();
  search();
  pin(-1);
  whole({ glide: true });
}

function tooltip(event) {
  const tip = $("tip");
  tip.hidden = diagram.hover < 0;
  if (tip.hidden) return;
  if (tooltip.step !== diagram.hover) tip.replaceChildren(...texts.tip(diagram.hover));
  tooltip.step = diagram.hover;
  const { offsetWidth: w, offsetHeight: h } = tip;
  const x = event.clientX + 18 + w > innerWidth - 8 ? event.clientX - w - 14 : event.clientX + 18;
  tip.style.left = `${Math.max(8, x)}px`;
  tip.style.top = `${Math.max(8, Math.min(event.clientY + 16, innerHeight - h - 8))}px`;
}

function listen() {
  const canvas = $("diagram");
  let drag = null;
  const hover = i => { if (i !== diagram.hover) { diagram.hover = i; canvas.classList.toggle("over", i >= 0); redraw(); } };
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan((event.deltaX || event.deltaY) / 1500);
    else zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * (event.deltaMode ? 0.06 : 0.0022)))), diagram.us(Math.max(GUTTER, event.offsetX)));
  }, { passive: false });
  canvas.addEventListener("pointerdown", event => {
    if (event.button) return;
    drag = { x: event.clientX, view: [...diagram.view], far: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", event => {
    if (drag && (drag.far ||= Math.abs(event.clientX - drag.x) > 3)) {
      canvas.classList.add("dragging");
      hover(-1);
      const by = (drag.x - event.clientX) / diagram.scale;
      show(drag.view.map(t => t + by));
    } else hover(diagram.hit(event.offsetX, event.offsetY));
    tooltip(event);
  });
  canvas.addEventListener("pointerup", event => {
    canvas.classList.remove("dragging");
    if (drag && !drag.far) {
      const i = diagram.hit(event.offsetX, event.offsetY);
      pin(diagram.pinned?.step === i ? -1 : i);
    }
    drag = null;
  });
  canvas.addEventListener("pointercancel", () => { drag = null; canvas.classList.remove("dragging"); });
  canvas.addEventListener("pointerleave", event => { if (!drag) { hover(-1); tooltip(event); } });
  canvas.addEventListener("dblclick", reset);
  $("rollback").addEventListener("click", () => rollback({ glide: true }));
  $("whole").addEventListener("click", () => whole({ glide: true }));
  $("reset").addEventListener("click", reset);
  $("in").addEventListener("click", () => zoom(0.6));
  $("out").addEventListener("click", () => zoom(1 / 0.6));
  $("only").addEventListener("change", event => { diagram.onlyCone = event.target.checked; redraw(); });
  $("search").addEventListener("input", search);
  $("search").addEventListener("keydown", event => { if (event.key === "Enter") searchNext(); });
  for (const id of ["from", "to"]) $(id).addEventListener("change", () => {
    const [from, to] = [$("from"), $("to")].map(box => box.valueAsNumber * 1000);
    if (to > from) show([from, to]);
  });
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { $("search").value = ""; search(); pin(-1); diagram.hover = -1; $("tip").hidden = true; return; }
    if (event.target.matches("input")) return;
    const keys = { ArrowLeft: () => pan(-0.12), ArrowRight: () => pan(0.12), "+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1 / 0.7) };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  new ResizeObserver(redraw).observe($("diagram").parentElement);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { diagram.recolour(); redraw(); });
  window.addEventListener("hashchange", address);
}

/* What the address asks for: #view=whole, #view=rollback, #from=..&to=.. (microseconds), &step=.., &find=.., &only=cone. */
function address() {
  const wish = new URLSearchParams(location.hash.slice(1)), from = Number(wish.get("from")), to = Number(wish.get("to"));
  if (wish.get("view") === "rollback") rollback();
  else if (to > from) show([from, to]);
  else whole();
  if (wish.get("only") === "cone") diagram.onlyCone = $("only").checked = true;
  if (wish.has("find")) { $("search").value = wish.get("find"); search(); searchNext(); }
  const step = wish.has("step") ? run.find(wish.get("step")) : -1;
  if (step >= 0) pin(step);
}

for (const entry of document.querySelectorAll("[data-of]")) entry.hidden = !run[entry.dataset.of].length;
chips();
listen();
address();
$("rollback").disabled = !run.undone.length && !run.proposals.length;
$("proposals").replaceChildren(texts.proposals(p => { show(run.rollbackSpan(p), { glide: true }); $("spacetime").scrollIntoView(); }));
new UndoneTable(texts, $("undone"), $("sieve"), $("sifted"));

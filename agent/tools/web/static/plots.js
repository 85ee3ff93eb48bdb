// SPDX-License-Identifier: Apache-2.0
"use strict";
// Draws the curves: zoom, pan and pause for all plots together, limits and events of the last run.
const Plots = (() => {
  const COLORS = ["#1c7ed6", "#d9622b", "#2f9e63", "#9650c0", "#c92a2a"];
  const DASHES = { read: null, set: [9, 4], true: [2, 3] };
  const MIN_SPANS = { "°C": 5, kPa: 20, "L/min": 20, kW: 10, W: 200, "%": 10, ms: 20, rows: 5 };
  const DIGITS = { flow: 0, fws_flow: 0, pump_w: 0, waiting: 0 };
  const HEIGHT = 180, MAX_FULL_S = 120; // 10 Hz for two minutes, then 1 Hz
  const { make, number: text } = Dom;
  const OVERLAY_DASHES = [[6, 3], [2, 2], [10, 4], [1, 3], [8, 2, 2, 2]];
  const PNG_PX = 640; // the plots of a narrow column have no room for their titles
  let caption = () => [], written = [];
  let place, curves = [], plots = [], rows = [], run = null, marks = [], overlays = [];
  let view = null, span = 300, paused = false, isUtc = true, needsDraw = true, drawMs = 0;

  const origin = () => (isUtc ? 0 : run ? run.started : rows.length ? rows[0][0] : 0);
  const last = () => (rows.length ? rows[rows.length - 1][0] : 0);
  const range = () => view || { min: (rows.length ? Math.max(rows[0][0], span ? last() - span : 0) : 0) - origin(), max: last() - origin() + 0.001 };

  function bounds(plot, unit, low, high) { // an axis spans at least MIN_SPANS, and shows the limits
    const limits = unit === plot.unit ? plot.limits().flatMap((l) => [l.min, l.max]).filter((v) => v !== null) : [];
    const values = [low, high, ...limits, ...plot.overlayBounds(unit)].filter((v) => v !== null && v !== undefined && Number.isFinite(v));
    if (!values.length) return [0, MIN_SPANS[unit] || 1];
    const min = Math.min(...values), max = Math.max(...values);
    const more = Math.max(0.05 * (max - min), ((MIN_SPANS[unit] || 1) - (max - min)) / 2);
    return [min >= 0 ? Math.max(0, min - more) : min - more, max + more];
  }

  const utcText = (s) => new Date(s * 1e3).toISOString().slice(11, 19);
  class Plot {
    constructor(title, list) {
      this.curves = list;
      this.unit = list[0].unit;
      this.box = place.appendChild(make("figure", { ariaLabel: title }));
      this.box.append(make("h3", { textContent: Texts.text(title) }));
    }
    limits() { return run ? run.limits.filter((l) => this.curves.some((c) => c.key === l.curve && c.unit === this.unit)) : []; }
    overlayBounds(unit) {
      const keys = this.curves.filter((c) => c.unit === unit).map((c) => c.key);
      const values = overlays.flatMap((o) => keys.flatMap((key) => o.curves[key] || [])).filter((v) => v !== null);
      return values.length ? [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))] : [];
    }
    open() {
      const units = [...new Set(this.curves.map((c) => c.unit))];
      const names = [...new Set(this.curves.map((c) => c.label.split(",")[0]))];
      const color = getComputedStyle(document.body).color;
      const axis = { stroke: color, ticks: { stroke: "#8884" }, labelSize: 14, size: 48 };
      this.plot = new uPlot({
        width: this.width(), height: HEIGHT, 
        scales: Object.assign({ x: { time: isUtc, auto: false } }, ...units.map((u) => ({ [u]: { range: (_, low, high) => bounds(this, u, low, high) } }))),
        axes: [{ ...axis, size: 40, space: 64, values: (_, list) => list.map(isUtc ? utcText : String), label: isUtc ? "UTC" : "s since the start", grid: { stroke: "#8883" } }, ...units.map((u, i) => ({
          ...axis, scale: u, label: u, side: i ? 1 : 3, grid: { show: i === 0, stroke: "#8883" },
        }))],
        series: [{ label: isUtc ? "UTC" : "s", value: (_, v) => (v === null || v === undefined ? "–" : isUtc ? utcText(v) : v.toFixed(1)) }, ...this.curves.map((c) => ({
          label: c.label, scale: c.unit, stroke: COLORS[names.indexOf(c.label.split(",")[0]) % COLORS.length], width: 1.7,
          dash: DASHES[c.kind] || undefined, points: { show: false },
          value: (_, v) => text(v, DIGITS[c.key] ?? 1) + " " + c.unit,
        }))],
        cursor: { y: false, drag: { x: true, y: false, setScale: false }, sync: { key: "bench" }, bind: { dblclick: () => () => { follow(); return null; } } },
        hooks: { setSelect: [(u) => this.select(u)], draw: [(u) => this.drawRun(u)] },
      }, [[], ...this.curves.map(() => [])], this.box);
    }
    width() { return Math.max(200, this.box.clientWidth); }
    select(u) {
      if (u.select.width < 4) return;
      show(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
      u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    }
    draw() {
      const shift = origin();
      this.plot.batch(() => {
        this.plot.setData([rows.map((r) => r[0] - shift), ...this.curves.map((c) => rows.map((r) => r[c.at]))], false);
        this.plot.setScale("x", range());
      });
      // The legend shows the value under the cursor, else the last one.
      if (rows.length && this.plot.cursor.left < 0) this.plot.setLegend({ idx: rows.length - 1 }, false);
    }
    drawRun(u) { // limits as red lines over their windows, events and marks as vertical lines
      const { ctx, bbox } = u, shift = origin(), x = (t) => u.valToPos(t - shift, "x", true);
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      ctx.lineWidth = devicePixelRatio;
      ctx.font = 10 * devicePixelRatio + "px system-ui,sans-serif";
      const line = (x1, y1, x2, y2) => { ctx.beginPath(); ctx.moveTo(x1, y1); ctx.lineTo(x2, y2); ctx.stroke(); };
      ctx.strokeStyle = "#c92a2a";
      for (const l of this.limits()) for (const v of [l.min, l.max]) {
        if (v === null) continue;
        const y = u.valToPos(v, this.unit, true);
        line(x(run.started + l.from_s), y, x(run.started + l.until_s), y);
      }
      const color = getComputedStyle(document.body).color;
      this.drawOverlays(u, x, color);
      const events = run ? run.events.map((e) => [run.started + e.at_s, e.text]) : [];
      ctx.strokeStyle = ctx.fillStyle = color;
      ctx.setLineDash([3, 4]);
      for (const [at, name] of [...events, ...marks]) {
        line(x(at), bbox.top, x(at), bbox.top + bbox.height);
        ctx.fillText(name, x(at) + 3, bbox.top + 11 * devicePixelRatio);
      }
      ctx.restore();
    }
    drawOverlays(u, x, color) {
      const { ctx } = u, start = overlayStart();
      ctx.strokeStyle = ctx.fillStyle = color;
      overlays.forEach((o, number) => {
        ctx.setLineDash(OVERLAY_DASHES[number % OVERLAY_DASHES.length].map((v) => v * devicePixelRatio));
        for (const c of this.curves) {
          const values = o.curves[c.key];
          if (!values) continue;
          let end = null, isDown = false;
          ctx.beginPath();
          values.forEach((v, i) => {
            if (v === null) { isDown = false; return; }
            end = [x(start + o.at_s[i]), u.valToPos(v, c.unit, true)];
            if (isDown) ctx.lineTo(...end); else ctx.moveTo(...end);
            isDown = true;
          });
          ctx.stroke();
          if (end) ctx.fillText(String(number + 1), end[0] + 3, end[1]);
        }
      });
      ctx.setLineDash([]);
    }
  }

  // Runs of before, on the time since the start: a thin line each, with its number at the end.
  const overlayStart = () => (run ? run.started : last() - Math.max(0, ...overlays.map((o) => o.at_s[o.at_s.length - 1])));
  function setOverlays(list) { overlays = list; needsDraw = true; }
  function build() {
    const groups = new Map();
    plots.forEach((p) => p.plot.destroy());
    place.replaceChildren();
    curves.forEach((c, i) => {
      if (c.plot) groups.set(c.plot, [...(groups.get(c.plot) || []), { ...c, at: i + 1 }]);
    });
    plots = [...groups].map(([title, list]) => new Plot(title, list));
    plots.forEach((p) => p.open());
    needsDraw = true;
  }
  function show(min, max) { view = { min, max }; needsDraw = true; }
  function follow() { view = null; paused = false; needsDraw = true; reflect(); }
  function move(share) { const r = range(), by = (r.max - r.min) * share; show(r.min + by, r.max + by); }
  function scale(factor) { const r = range(), half = (r.max - r.min) * factor / 2, mid = (r.max + r.min) / 2; show(mid - half, mid + half); }

  function thin() { // keep 10 Hz for the last two minutes only
    const limit = last() - MAX_FULL_S;
    let second = null;
    rows = rows.filter((r) => { const s = Math.floor(r[0]), keep = r[0] > limit || s !== second || r[1] === null; second = s; return keep; });
    if (rows.length > 5000) rows.splice(0, rows.length - 5000);
  }
  let added = 0;
  function add(row) {
    rows.push(row);
    if (++added % 600 === 0) thin();
    if (!paused) needsDraw = true;
  }
  function addBreak() { if (rows.length) add([last(), ...curves.map(() => null)]); }

  function tick(now) {
    if (needsDraw && !document.hidden && !(paused && !view && tick.drawn) && now - (tick.at || 0) >= Math.max(95, 4 * drawMs)) {
      tick.at = now;
      plots.forEach((p) => p.draw());
      drawMs = performance.now() - now;
      needsDraw = false;
    }
    requestAnimationFrame(tick);
  }

  function save(name, blob) {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  const quoted = (t) => '"' + String(t).replace(/"/g, '""') + '"';
  function toCsv() {
    const head = ["UTC", "s since the start", ...curves.map((c) => quoted(`${c.label} (${c.unit || "1"})`)), "mark"];
    const start = run ? run.started : rows.length ? rows[0][0] : 0;
    let mark = 0;
    const ordered = [...marks].sort((a, b) => a[0] - b[0]);
    const lines = rows.filter((r) => r.slice(1).some((v) => v !== null)).map((r) => {
      let label = "";
      while (mark < ordered.length && ordered[mark][0] <= r[0]) label = ordered[mark++][1];
      return [new Date(r[0] * 1e3).toISOString(), (r[0] - start).toFixed(1), ...r.slice(1).map((v) => v ?? ""), quoted(label)].join(",");
    });
    return [head.join(","), ...lines].join("\r\n") + "\r\n";
  }
  // Lines of a text that are not wider than `width`; they break at blanks.
  function wrap(ctx, words, width) {
    const lines = [""];
    for (const word of words.split(" ")) {
      const longer = (lines[lines.length - 1] + " " + word).trim();
      if (ctx.measureText(longer).width <= width || !lines[lines.length - 1]) lines[lines.length - 1] = longer;
      else lines.push(word);
    }
    return lines;
  }
  const utcSecond = (s) => new Date((s + origin()) * 1e3).toISOString().slice(0, 19).replace("T", " ");
  function toPng() { // the plots under a heading with their time, and the titles in full
    const canvases = plots.map((p) => p.box.querySelector("canvas")), line = 20 * devicePixelRatio, edge = 8 * devicePixelRatio;
    const width = Math.max(PNG_PX * devicePixelRatio, ...canvases.map((c) => c.width)), r = range();
    const image = make("canvas", { width, height: 1 }), ctx = image.getContext("2d"), style = getComputedStyle(document.body);
    const font = 13 * devicePixelRatio + "px system-ui,sans-serif";
    ctx.font = font;
    const fitted = (text) => wrap(ctx, text, width - 2 * edge);
    const head = [`${utcSecond(r.min)} to ${utcSecond(r.max)} UTC`, ...caption()].flatMap(fitted);
    const titles = plots.map((p) => fitted(p.box.ariaLabel + ": " + p.curves.map((c) => c.label).join(" · ")));
    image.height = line * (head.length + 1) + canvases.reduce((sum, c, i) => sum + c.height + line * (titles[i].length + 0.5), 0);
    ctx.fillStyle = style.backgroundColor; // a new height has cleared the drawing and its font
    ctx.fillRect(0, 0, image.width, image.height);
    ctx.fillStyle = style.color;
    ctx.font = font;
    let y = 0;
    const write = (lines) => lines.forEach((text) => { y += line; ctx.fillText(text, edge, y); });
    write(head);
    plots.forEach((p, i) => {
      y += line * 0.5;
      write(titles[i]);
      ctx.drawImage(canvases[i], 0, y + line * 0.3);
      y += canvases[i].height;
    });
    written = [...head, ...titles.flat()];
    return new Promise((resolve) => image.toBlob(resolve, "image/png"));
  }

  const stamp = () => new Date().toISOString().replace(/[:.]/g, "").slice(0, 15);
  const ACTIONS = {
    back: () => move(-0.5), forth: () => move(0.5), closer: () => scale(0.5), wider: () => scale(2), follow,
    pause: () => { paused = !paused; if (paused) { const r = range(); show(r.min, r.max); } else follow(); reflect(); },
    time: () => { const r = view, shift = origin(); isUtc = !isUtc; if (r) view = { min: r.min + shift - origin(), max: r.max + shift - origin() }; reflect(); build(); },
    mark: () => { marks.push([last(), "mark " + (marks.length + 1)]); needsDraw = true; },
    csv: () => save(`coldloop-${stamp()}.csv`, new Blob([toCsv()], { type: "text/csv" })),
    png: async () => save(`coldloop-${stamp()}.png`, await toPng()),
  };
  let tools = null;
  function reflect() {
    if (!tools) return;
    const [pause, time] = ["pause", "time"].map((name) => tools.querySelector(`[data-do=${name}]`));
    if (pause) pause.setAttribute("aria-pressed", paused);
    if (time) time.textContent = isUtc ? "UTC" : Texts.text("Elapsed");
  }
  function start(target, toolbar, describe) { // `describe` gives the lines above the plots of a PNG
    place = target;
    caption = describe || caption;
    tools = toolbar;
    tools.onclick = (event) => { const action = ACTIONS[event.target.dataset.do]; if (action) action(); };
    span = Number(tools.querySelector("select").value);
    tools.querySelector("select").onchange = (event) => { span = Number(event.target.value); follow(); };
    const KEYS = { ArrowLeft: "back", ArrowRight: "forth", "+": "closer", "-": "wider", Home: "follow" };
    tools.onkeydown = (event) => {
      if (event.target.tagName === "SELECT" || !KEYS[event.key]) return;
      event.preventDefault();
      ACTIONS[KEYS[event.key]]();
    };
    requestAnimationFrame(tick);
  }
  return {
    start, add, addBreak, make, text, DIGITS, toCsv, get written() { return written; },
    setCurves: (list, history) => { curves = list; rows = history; build(); },
    setOverlays, get overlays() { return overlays.map((o) => o.name); },
    setRun: (next) => { if (JSON.stringify(next) !== JSON.stringify(run)) { run = next; needsDraw = true; } },
    rebuild: build, fit: () => plots.forEach((p) => p.plot.setSize({ width: p.width(), height: HEIGHT })),
    get range() { return range(); }, get count() { return rows.length; },
  };
})();

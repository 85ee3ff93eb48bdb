// SPDX-License-Identifier: Apache-2.0
"use strict";
// Draws frames and states; sends no requests.
const View = (() => {
  const COLORS = ["#1c7ed6", "#d9622b", "#2f9e63", "#9650c0", "#c92a2a"];
  const SYSTEM_COLORS = { BDS: "#d9622b", GPS: "#1c7ed6", GAL: "#2f9e63", GLO: "#9650c0" };
  const id = (name) => document.getElementById(name);
  const make = (tag, fields = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), fields);
    element.append(...children);
    return element;
  };
  const svg = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    return element;
  };
  const DIGITS = { flow: 0, fws_flow: 0, valve: 0, pump1: 0, pump2: 0, pump_w: 0, waiting: 0 };
  const MIN_SPANS = { "°C": 5, kPa: 20, "L/min": 20, kW: 10, W: 200, "%": 10, ms: 20, rows: 5 };
  const number = (value, digits = 1) => (value === null || value === undefined ? "–" : Number(value).toFixed(digits));
  const clock = (us) => (us ? new Date(us / 1000).toISOString().slice(11, 19) : "–");

  class Plot {
    constructor(place, title, curves) {
      this.curves = curves;
      this.box = place.appendChild(make("div"));
      this.box.append(make("h3", { textContent: title }));
    }
    open() {
      const units = [...new Set(this.curves.map((c) => c.unit))];
      const color = getComputedStyle(document.body).color;
      // An axis spans at least MIN_SPANS.
      const range = (unit) => (_, low, high) => {
        if (low === null) return [0, MIN_SPANS[unit] || 1];
        const more = Math.max(0.05 * (high - low), ((MIN_SPANS[unit] || 1) - (high - low)) / 2);
        return [low >= 0 ? Math.max(0, low - more) : low - more, high + more];
      };
      const axis = { stroke: color, ticks: { stroke: "#8884" }, labelSize: 14, size: 44 };
      this.plot = new uPlot({
        width: Math.max(200, this.box.clientWidth), height: 170,
        scales: Object.assign({ x: { time: false } }, ...units.map((u) => ({ [u]: { range: range(u) } }))),
        axes: [{ ...axis, size: 28, grid: { stroke: "#8883" } }, ...units.map((u, i) => ({
          ...axis, scale: u, label: u, side: i ? 1 : 3, grid: { show: i === 0, stroke: "#8883" },
        }))],
        series: [{ label: "second" }, ...this.curves.map((c, i) => ({
          label: c.label, scale: c.unit, stroke: COLORS[i % COLORS.length], width: 1.6,
          value: (_, v) => number(v, DIGITS[c.key] ?? 1) + " " + c.unit,
        }))],
        cursor: { y: false },
      }, [[], ...this.curves.map(() => [])], this.box);
    }
    draw(rows) { // the legend shows the value under the cursor, else the last one
      this.plot.setData([rows.map((r) => r[0]), ...this.curves.map((c) => rows.map((r) => r[c.at]))]);
      if (rows.length && this.plot.cursor.left < 0) this.plot.setLegend({ idx: rows.length - 1 }, false);
    }
    fit() { this.plot.setSize({ width: Math.max(200, this.box.clientWidth), height: 170 }); }
  }

  function makePlots(curves) {
    const place = id("plots"), groups = new Map();
    place.replaceChildren();
    curves.forEach((c, i) => {
      if (c.plot) groups.set(c.plot, [...(groups.get(c.plot) || []), { ...c, at: i + 1 }]);
    });
    const all = [...groups].map(([title, group]) => new Plot(place, title, group));
    all.forEach((p) => p.open());
    return all;
  }

  function showLoop(curves, row) {
    curves.forEach((c, i) => {
      const text = id("v-" + c.key);
      if (text) text.textContent = number(row[i + 1], DIGITS[c.key] ?? 1) + " " + c.unit;
    });
    const value = (key) => row[curves.findIndex((c) => c.key === key) + 1];
    for (const key of ["pump1", "pump2"]) id(key).setAttribute("class", "part " + (value(key) > 1 ? "ok" : "off"));
    id("valve").setAttribute("class", "part " + (value("valve") > 1 ? "ok" : "off"));
    id("racks").setAttribute("class", "part " + (value("case") > 80 ? "hurt" : "ok"));
  }

  function showHeader(state) {
    const agent = state.agent, mode = id("mode");
    mode.textContent = state.mode === "free" ? "free" : "running " + state.scenario;
    mode.className = "pill " + state.mode;
    id("utc").textContent = clock(agent.utc_us);
    id("clock").textContent = agent.clock ? agent.clock.state : "–";
    id("agent").textContent = (agent.state || "–") + " · " + state.dut;
    id("alarmcount").textContent = state.alarm_count;
    id("ports").textContent = Object.entries(state.ports).map(([k, v]) => k + " " + v).join("   ");
  }

  const UNIT_TEXTS = { Cel: "°C", "kW.h": "kWh", By: "bytes" };
  const unit = (f) => (f.unit ? " " + (UNIT_TEXTS[f.unit] || f.unit) : "");
  const between = (f) => (f.min === null ? "at most " + f.max : f.max === null ? "at least " + f.min
    : f.min === f.max ? String(f.min) : f.min + " to " + f.max) + unit(f);
  const VERDICT_TEXTS = { pass: "PASS", marginal: "PASS, MARGINAL", incomplete: "NOT COMPLETE", fail: "FAIL" };
  const SHORT_TEXTS = { ...VERDICT_TEXTS, marginal: "MARGINAL" };
  function showVerdict(last, reportAt) {
    const place = id("verdict");
    place.hidden = !last;
    if (!last) return;
    place.className = "verdict " + last.verdict;
    const [verdictText, text, next, link] = place.children;
    verdictText.textContent = VERDICT_TEXTS[last.verdict];
    text.textContent = [last.suite, last.serial, (last.verdict_text || "").replace(VERDICT_TEXTS[last.verdict], "").replace(/^, /, ""), last.text].filter(Boolean).join(" · ");
    next.textContent = last.next ? "Check next: " + last.next : "";
    link.hidden = !last.report;
    if (last.report) link.href = reportAt(last.report, "report.html");
  }

  function showPhases(list) {
    id("phases").replaceChildren(...list.map((p) => make("div", { className: "phase" },
      make("span", { textContent: p.name }), make("b", { className: p.verdict, textContent: VERDICT_TEXTS[p.verdict] || p.verdict }),
      make("progress", { max: 1, value: p.share }))));
  }

  const halfSpan = (limit) => Math.max(1, Math.abs(limit)), low = (f) => f.min ?? f.max - halfSpan(f.max);
  const span = (f) => (f.max ?? f.min + halfSpan(f.min)) - low(f) || 1;
  function markPosition(f) { // in %; the limits are at 12 % and 88 %
    if (f.value === null) return null;
    return Math.max(2, Math.min(98, 12 + 76 * (f.value - low(f)) / span(f)));
  }
  function showLimits(list) {
    if (!list.length) return;
    id("limits").replaceChildren(...list.map((f) => {
      const side = f.min === null ? "high" : f.max === null ? "low" : "";
      const bar = make("div", { className: "bar " + side }), at = markPosition(f);
      if (f.band) bar.style.setProperty("--n", 76 * f.band / span(f) + "%");
      if (at !== null) bar.append(Object.assign(make("i"), { style: `left:${at}%` }));
      return make("div", { className: "limit" },
        make("span", { textContent: f.about, title: f.measure }), make("b", { textContent: number(f.value, 2) + unit(f) }),
        bar, make("small", { textContent: between(f) + ", " + f.window }), make("b", { className: f.verdict, textContent: SHORT_TEXTS[f.verdict] || f.verdict }),
        make("small", { textContent: f.worst === null || f.verdict === "waiting" ? "" : "worst so far " + number(f.worst, 2) + unit(f) + " at " + number(f.worst_at_s, 0) + " s" }));
    }));
  }

  function showList(name, list) {
    id(name).replaceChildren(...list.map((a) => make("li", { textContent: a.line, title: a.do })));
  }

  function showSky(list) {
    const place = id("sky");
    place.replaceChildren(...[100, 67, 33].map((r) => svg("circle", { r, class: "ring" })),
      ...[["N", 0, -102], ["E", 105, 3], ["S", 0, 108], ["W", -105, 3]].map(([t, x, y]) => svg("text", { x, y, class: "mark" }, t)));
    for (const [system, sv, elevation, azimuth, cn0] of list) {
      const r = 100 * (90 - elevation) / 90, a = azimuth * Math.PI / 180, x = r * Math.sin(a), y = -r * Math.cos(a);
      const dot = svg("circle", { cx: x, cy: y, r: 3 + Math.max(0, cn0 - 25) / 5, fill: SYSTEM_COLORS[system] || "#888", opacity: cn0 ? 0.85 : 0.25 });
      dot.append(svg("title", {}, `${system} ${sv}: ${cn0} dBHz`));
      place.append(dot, svg("text", { x, y: y + 2.5 }, system[0] + sv));
    }
  }

  return { id, make, makePlots, showLoop, showHeader, showVerdict, showPhases, showLimits, showList, showSky, number, VERDICT_TEXTS, SHORT_TEXTS };
})();

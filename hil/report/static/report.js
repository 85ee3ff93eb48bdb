// SPDX-License-Identifier: Apache-2.0
"use strict";
// Draws the channels of each run; channels with the same plot title share a plot.
(() => {
  const COLORS = ["#1769aa", "#c2571a", "#2a8a57", "#8b4bb0", "#b3261e", "#6b7480"];
  const runs = JSON.parse(document.getElementById("data").textContent);

  function groupChannels(channels) {
    const groups = new Map();
    for (const channel of channels) {
      if (!groups.has(channel.plot)) groups.set(channel.plot, []);
      groups.get(channel.plot).push(channel);
    }
    return groups;
  }

  function makeCell(place, title) {
    const box = document.createElement("div");
    box.appendChild(document.createElement("h3")).textContent = title;
    return place.appendChild(box);
  }

  // An axis shows the limits, and spans at least MIN_SPANS: noise does not fill a plot.
  const MIN_SPANS = { "°C": 5, kPa: 20, "L/min": 20, "%": 10, ms: 20, rows: 5 };
  const range = (unit, limits) => (_, low, high) => {
    const values = [low, high, ...limits].filter((v) => v !== null && v !== undefined && Number.isFinite(v));
    if (!values.length) return [0, MIN_SPANS[unit] || 1];
    const min = Math.min(...values), max = Math.max(...values);
    const more = Math.max(0.05 * (max - min), ((MIN_SPANS[unit] || 1) - (max - min)) / 2);
    return [min >= 0 ? Math.max(0, min - more) : min - more, max + more];
  };
  function drawMarks(u, unit, limits, events) {
    const { ctx, bbox } = u;
    const line = (x1, y1, x2, y2) => { ctx.beginPath(); ctx.moveTo(x1, y1); ctx.lineTo(x2, y2); ctx.stroke(); };
    ctx.save();
    ctx.strokeStyle = "#b3261e";
    for (const v of limits) { const y = u.valToPos(v, unit, true); line(bbox.left, y, bbox.left + bbox.width, y); }
    ctx.strokeStyle = "#8888";
    ctx.setLineDash([3, 4]);
    for (const [at] of events) { const x = u.valToPos(at, "x", true); if (x >= bbox.left && x <= bbox.left + bbox.width) line(x, bbox.top, x, bbox.top + bbox.height); }
    ctx.restore();
  }

  function draw(box, channels, run) {
    const { series, events } = run;
    const limitsOf = (unit) => channels.filter((c) => c.unit === unit).flatMap((c) => run.limits[c.measure] || []);
    const units = [...new Set(channels.map((c) => c.unit))];
    const color = getComputedStyle(document.body).color;
    const axis = { stroke: color, grid: { stroke: "#8884", width: 1 }, ticks: { stroke: "#8884" }, labelSize: 16 };
    new uPlot({
      width: Math.max(220, box.clientWidth - 8),
      height: 190,
      scales: Object.assign({ x: { time: false } }, ...units.map((u) => ({ [u]: { range: range(u, limitsOf(u)) } }))),
      hooks: { draw: [(u) => units.forEach((unit, i) => drawMarks(u, unit, limitsOf(unit), i ? [] : events))] },
      axes: [{ ...axis, label: "s since the start" }, ...units.map((u, i) => ({
        ...axis, scale: u, label: u, side: i ? 1 : 3, grid: { show: i === 0, stroke: "#8884" },
      }))],
      series: [{ label: "s" }, ...channels.map((c, i) => ({
        label: c.label + " " + c.unit, scale: c.unit, stroke: COLORS[i % COLORS.length], width: 1.5,
      }))],
    }, [series.at_s, ...channels.map((c) => series[c.measure])], box);
  }

  for (const place of document.querySelectorAll(".plots")) {
    const run = runs[Number(place.dataset.run)];
    // Make all cells first: their width depends on their number.
    const cells = [...groupChannels(run.channels)].map(([title, channels]) => [makeCell(place, title), channels]);
    for (const [box, channels] of cells) draw(box, channels, run);
  }
})();

"use strict";
// Draws each run's channels, one plot for each group of them that share it.
(() => {
  const INKS = ["#1769aa", "#c2571a", "#2a8a57", "#8b4bb0", "#b3261e", "#6b7480"];
  const runs = JSON.parse(document.getElementById("data").textContent);

  function groups(channels) {
    const found = new Map();
    for (const channel of channels) {
      if (!found.has(channel.plot)) found.set(channel.plot, []);
      found.get(channel.plot).push(channel);
    }
    return found;
  }

  function cell(place, title) {
    const box = document.createElement("div");
    box.appendChild(document.createElement("h3")).textContent = title;
    return place.appendChild(box);
  }

  function draw(box, channels, series) {
    const units = [...new Set(channels.map((c) => c.unit))];
    const ink = getComputedStyle(document.body).color;
    const axis = { stroke: ink, grid: { stroke: "#8884", width: 1 }, ticks: { stroke: "#8884" }, labelSize: 16 };
    new uPlot({
      width: Math.max(220, box.clientWidth - 8),
      height: 190,
      scales: Object.assign({ x: { time: false } }, ...units.map((u) => ({ [u]: {} }))),
      axes: [{ ...axis, label: "s" }, ...units.map((u, i) => ({
        ...axis, scale: u, label: u, side: i ? 1 : 3, grid: { show: i === 0, stroke: "#8884" },
      }))],
      series: [{ label: "s" }, ...channels.map((c, i) => ({
        label: c.label + " " + c.unit, scale: c.unit, stroke: INKS[i % INKS.length], width: 1.5,
      }))],
    }, [series.at_s, ...channels.map((c) => series[c.measure])], box);
  }

  for (const place of document.querySelectorAll(".plots")) {
    const run = runs[Number(place.dataset.run)];
    // All cells first: a cell's width depends on how many there are.
    const cells = [...groups(run.channels)].map(([title, channels]) => [cell(place, title), channels]);
    for (const [box, channels] of cells) draw(box, channels, run.series);
  }
})();

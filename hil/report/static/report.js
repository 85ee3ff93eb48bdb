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

  function draw(box, channels, series) {
    const units = [...new Set(channels.map((c) => c.unit))];
    const color = getComputedStyle(document.body).color;
    const axis = { stroke: color, grid: { stroke: "#8884", width: 1 }, ticks: { stroke: "#8884" }, labelSize: 16 };
    new uPlot({
      width: Math.max(220, box.clientWidth - 8),
      height: 190,
      scales: Object.assign({ x: { time: false } }, ...units.map((u) => ({ [u]: {} }))),
      axes: [{ ...axis, label: "s" }, ...units.map((u, i) => ({
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
    for (const [box, channels] of cells) draw(box, channels, run.series);
  }
})();

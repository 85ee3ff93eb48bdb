// SPDX-License-Identifier: Apache-2.0
"use strict";
// Draws the satellites: a sky plot and bars of C/N0. Letters are those of RINEX, as in the commands.
const Sky = (() => {
  const SYSTEMS = {
    GPS: ["G", "GPS", "#1c7ed6"], GLO: ["R", "GLONASS", "#9650c0"], GAL: ["E", "Galileo", "#2f9e63"],
    BDS: ["C", "BeiDou", "#d9622b"], QZS: ["J", "QZSS", "#c92a2a"], IRN: ["I", "NavIC", "#8a6d00"], SBAS: ["S", "SBAS", "#5b6d7c"],
  };
  const MAX_DBHZ = 55;
  const svg = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    return element;
  };
  const system = (name) => SYSTEMS[name] || ["?", name, "#888"];
  const label = (name, number) => system(name)[0] + String(number).padStart(2, "0");
  // Places for a label beside its dot; a label without a free place is left out, its bar remains.
  const OFFSETS = [[0, -6], [0, 11], [11, 2.5], [-11, 2.5]];
  const W = 15, H = 8;

  function drawSky(place, list) {
    place.replaceChildren(...[100, 67, 33].map((r) => svg("circle", { r, class: "ring" })),
      ...[["N", 0, -102], ["E", 105, 3], ["S", 0, 108], ["W", -105, 3]].map(([t, x, y]) => svg("text", { x, y, class: "mark" }, t)));
    const dots = list.map(([name, sv, elevation, azimuth, cn0]) => {
      const r = 100 * (90 - elevation) / 90, a = azimuth * Math.PI / 180;
      return { name, sv, cn0, x: r * Math.sin(a), y: -r * Math.cos(a) };
    });
    const taken = dots.map((d) => [d.x, d.y, 7, 7]);
    const isFree = (x, y) => taken.every(([tx, ty, w, h]) => Math.abs(tx - x) > (W + w) / 2 || Math.abs(ty - y) > (H + h) / 2);
    for (const d of dots) {
      const dot = svg("circle", { cx: d.x, cy: d.y, r: 3 + Math.max(0, d.cn0 - 25) / 8, fill: system(d.name)[2], opacity: d.cn0 ? 0.9 : 0.3 });
      dot.append(svg("title", {}, `${label(d.name, d.sv)}: ${d.cn0} dBHz`));
      place.append(dot);
    }
    for (const d of dots) {
      const at = OFFSETS.map(([dx, dy]) => [d.x + dx, d.y + dy]).find(([x, y]) => isFree(x, y - 2.5));
      if (!at) continue;
      taken.push([at[0], at[1] - 2.5, W, H]);
      place.append(svg("text", { x: at[0], y: at[1] }, label(d.name, d.sv)));
    }
  }

  function drawBars(place, list) {
    const ordered = [...list].sort((a, b) => (label(a[0], a[1]) < label(b[0], b[1]) ? -1 : 1));
    const width = 220, step = width / Math.max(12, ordered.length);
    place.replaceChildren(...[20, 40].flatMap((v) => [
      svg("line", { x1: 0, x2: width, y1: 60 - v, y2: 60 - v, class: "ring" }), svg("text", { x: width, y: 59 - v, class: "mark end" }, v + " dBHz")]));
    ordered.forEach(([name, sv, , , cn0], i) => {
      const height = Math.min(MAX_DBHZ, cn0), x = i * step;
      const bar = svg("rect", { x, y: 60 - height, width: step * 0.75, height: Math.max(1, height), fill: system(name)[2] });
      bar.append(svg("title", {}, `${label(name, sv)}: ${cn0} dBHz`));
      place.append(bar, svg("text", { transform: `translate(${x + step * 0.6} 80) rotate(-90)`, class: "name" }, label(name, sv)));
    });
  }

  function show(list) {
    drawSky(document.getElementById("sky"), list);
    drawBars(document.getElementById("bars"), list);
    const names = [...new Set(list.map((row) => row[0]))].sort();
    const items = names.map((name) => {
      const item = document.createElement("span"), [letter, text, color] = system(name);
      const key = Object.assign(document.createElement("i"), { style: `background:${color}` });
      item.append(key, `${letter} ${text} ${list.filter((row) => row[0] === name).length}`);
      return item;
    });
    document.getElementById("systems").replaceChildren(...items);
  }
  return { show };
})();

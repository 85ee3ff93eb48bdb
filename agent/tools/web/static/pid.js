// SPDX-License-Identifier: Apache-2.0
"use strict";
// Draws the piping and instrumentation diagram of a unit: facility side, exchanger, pumps, racks.
// Does not know the points of an agent: the page gives texts and qualities by key.
const Pid = (() => {
  const { id, svg } = Dom;
  // Places of the texts: [x, y, anchor]. `wide` is for screens, `narrow` for phones.
  const WIDE = {
    size: [720, 250], top: 60, bottom: 190, left: 40, exchanger: [230, 70], racks: [620, 60], valve: 134, pumps: [430, 60], radius: 20, filter: 360,
    labels: { facility: [40, 26], exchanger: [265, 28, "mid"], supply: [320, 26], return: [320, 142], racks: [650, 28, "mid"], dp: [456, 26], own: [265, 248, "mid"], fws_return: [40, 152], case: [612, 112, "end"] },
    values: {
      fws: [40, 48], fws_flow: [40, 112], valve: [134, 228, "mid"], fws_return: [40, 174], supply: [320, 48], dp: [456, 48], return: [320, 164],
      flow: [612, 174, "end"], load: [680, 232, "end"], heat: [265, 232, "mid"], case: [612, 134, "end"], setpoint: [320, 84], dp_setpoint: [456, 84], level: [612, 112, "end"], filter: [360, 228, "mid"], dew: [320, 112],
    },
  };
  const NARROW = {
    size: [400, 318], from: 22, top: 100, bottom: 250, left: 8, exchanger: [108, 40], racks: [352, 40], valve: 56, pumps: [228, 56], radius: 18, filter: 182,
    labels: { facility: [8, 56], exchanger: [128, 74, "mid"], supply: [160, 56], return: [160, 196], racks: [398, 74, "end"], dp: [250, 56], own: [128, 338, "mid"], fws_return: [8, 206], case: [344, 152, "end"] },
    values: {
      fws: [8, 84], fws_flow: [8, 140], valve: [56, 290, "mid"], fws_return: [8, 232], supply: [160, 84], dp: [250, 84], return: [160, 220],
      flow: [344, 220, "end"], load: [392, 292, "end"], heat: [128, 316, "mid"], case: [344, 172, "end"], setpoint: [160, 124], dp_setpoint: [250, 124], level: [344, 172, "end"], filter: [182, 290, "mid"], dew: [160, 150],
    },
  };
  const arrow = (x, y, right) => `M${x} ${y}l${right ? -12 : 12}-7v14z`;

  function pipes(g) {
    const [hx, hw] = g.exchanger, [rx] = g.racks;
    const line = (kind, x1, x2, y) => svg("path", { class: "pipe " + kind, d: `M${x1} ${y}H${x2}` });
    const mid = (a, b, share) => a + (b - a) * share;
    const arrows = [[mid(g.left, hx, 0.72), g.top, true], [mid(hx + hw, rx, 0.94), g.top, true], [mid(hx + hw, rx, 0.95), g.bottom, false], [mid(g.left, hx, 0.16), g.bottom, false]];
    return [
      line("cold", g.left, hx, g.top), line("warm", g.left, hx, g.bottom), line("cold", hx + hw, rx, g.top), line("warm", hx + hw, rx, g.bottom),
      svg("rect", { class: "box", x: hx, y: g.top - 20, width: hw, height: g.bottom - g.top + 40, rx: 6 }),
      svg("path", { class: "thin", d: `M${hx} ${g.bottom + 20}L${hx + hw} ${g.top - 20}` }),
      ...arrows.map((a) => svg("path", { class: "flow", d: arrow(...a) })),
    ];
  }
  // Three pumps stand closer on a phone, so that they are left of the racks.
  const pumpAt = (g, number, count) => g.pumps[0] + (number - 1) * Math.min(g.pumps[1], (g.racks[0] - g.pumps[0] - g.radius) / Math.max(1, count - 1) - 8);
  function pump(g, number, count) { // the tip is on the left: the return flows to the exchanger
    const x = pumpAt(g, number, count), r = g.radius;
    return [
      svg("circle", { id: "pump" + number, class: "part", cx: x, cy: g.bottom, r }),
      svg("path", { id: "arrow" + number, class: "thin", d: `M${x - 12} ${g.bottom}l${r - 2}-${r / 2}v${r}z` }),
    ];
  }
  function parts(g, options) {
    const [rx, rw] = g.racks, height = g.bottom - g.top, v = g.valve, y = g.bottom;
    const shelves = [1, 3, 5, 7].map((n) => `M${rx + 8} ${g.top + n * height / 8}h${rw - 16}`).join("");
    const list = [
      svg("rect", { id: "racks", class: "part", x: rx, y: g.top - 20, width: rw, height: height + 40, rx: 4 }), svg("path", { class: "thin", d: shelves }),
    ];
    if (options.own) { // its pumps and its valve are inside, where the agent does not see them
      const [hx, hw] = g.exchanger;
      list.push(svg("rect", { id: "own", class: "boundary", x: hx - 14, y: g.top - 26, width: hw + 28, height: height + 52, rx: 8 }));
    }
    if (options.valve !== false) list.push(svg("path", { id: "valve", class: "part", d: `M${v - 14} ${y - 14}l28 28v-28l-28 28z` }));
    if (options.filter) list.push(svg("path", { id: "filter", class: "part", d: `M${g.filter - 11} ${y - 14}h22l0 28h-22z` }), svg("path", { class: "thin", d: `M${g.filter} ${y - 14}v28` }));
    for (let n = 1; n <= options.pumps; n++) list.push(...pump(g, n, options.pumps));
    return list;
  }
  function place(tag, key, [x, y, anchor]) {
    return svg("text", tag === "v-" ? { x, y, class: anchor || "", id: tag + key, "data-anchor": anchor || "" } : { x, y, class: anchor || "", "data-t": "pid." + key });
  }

  // options: narrow, pumps (0 to 3), valve (false: none), own (a CDU that controls itself), filter, labels and values (keys that the page has)
  function build(target, options) {
    const g = options.narrow ? NARROW : WIDE;
    const places = { ...g.values };
    for (let n = 1; n <= options.pumps; n++) places["pump" + n] = [pumpAt(g, n, options.pumps), g.bottom + g.radius + 20 + (options.narrow && options.pumps > 2 && n === 2 ? 16 : 0), "mid"];
    target.classList.add("pid");
    target.classList.toggle("narrow", Boolean(options.narrow));
    target.setAttribute("viewBox", `0 ${g.from || 0} ${g.size[0]} ${g.size[1]}`);
    target.replaceChildren(
      ...pipes(g), ...parts(g, options),
      svg("g", { class: "label" }, ...options.labels.map((key) => place("l-", key, g.labels[key]))),
      svg("g", { class: "value" }, ...options.values.filter((key) => places[key]).map((key) => place("v-", key, places[key]))),
    );
    Texts.apply(target);
  }
  function showValue(key, text, quality = "good", title = "") {
    const element = id("v-" + key);
    if (!element) return;
    const note = title ? [svg("title", {}, title)] : [];
    element.replaceChildren(text, ...note);
    element.setAttribute("class", [element.dataset.anchor, quality].filter(Boolean).join(" "));
  }
  function showPart(key, state) { // ok, off, hurt or unknown
    const element = id(key);
    if (element) element.setAttribute("class", "part " + state);
  }
  return { build, showValue, showPart };
})();

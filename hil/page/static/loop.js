// SPDX-License-Identifier: Apache-2.0
"use strict";
// Shows the values of the loop in the diagram. Only the parts of the unit's layout are drawn.
const Loop = (() => {
  const { id, number } = Dom, { DIGITS } = Plots, t = Texts.text;
  const READ_KEYS = { supply: "seen", return: "return_read", dp: "dp_read", valve: "valve_read", setpoint: "set", dp_setpoint: "set_dp" };
  const FACILITY = ["fws", "fws_flow"], RACKS = ["return", "flow", "load", "case"];
  let drawn = "", toldAt = 0;
  // The values as one text, for a screen reader; once a second, because a text that changes ten
  // times a second cannot be read.
  function tellLoop(texts) {
    const now = performance.now();
    if (now - toldAt < 1000) return;
    toldAt = now;
    id("loopvalues").textContent = texts.join("; ");
  }
  const pumpKeys = (layout) => Array.from({ length: layout.pumps }, (_, i) => "pump" + (i + 1));
  function keysOf(layout) {
    return [...FACILITY, ...RACKS, ...(layout.supply ? ["supply"] : []), ...(layout.dp ? ["dp"] : []), ...(layout.valve ? ["valve"] : []),
      ...(layout.own && layout.set ? ["setpoint"] : []), ...(layout.own && layout.set_dp ? ["dp_setpoint"] : []), ...pumpKeys(layout)];
  }
  function draw(layout, narrow = false) {
    const key = JSON.stringify([layout, narrow]);
    if (key === drawn) return;
    drawn = key;
    const labels = ["facility", "exchanger", "return", "racks", "case", ...(layout.supply ? ["supply"] : []), ...(layout.dp ? ["dp"] : []), ...(layout.own ? ["own"] : [])];
    Pid.build(id("loop"), { narrow, pumps: layout.pumps, valve: layout.valve, own: layout.own, labels, values: keysOf(layout) });
  }
  // As the controller reads it; the true value only where it reads none, and then without a mark.
  function show(curves, row, layout, qualities) {
    draw(layout);
    const value = (key) => { // row[0] is the time: a key without a curve must not show it
      const index = curves.findIndex((c) => c.key === key);
      return index < 0 ? null : row[index + 1] ?? null;
    };
    const texts = [], keys = keysOf(layout);
    for (const key of keys) {
      const read = value(READ_KEYS[key] || key + "_read"), shown = read ?? value(key), curve = curves.find((c) => c.key === key || c.key === READ_KEYS[key]);
      const quality = read !== null ? qualities[key] || "good" : shown !== null ? "good" : "absent";
      const mark = quality === "uncertain" ? " ?" : quality === "bad" ? " ✗" : "";
      const prefix = key.endsWith("setpoint") ? t("set-point") + " " : "", unit = curve ? curve.unit : "%";
      const reading = prefix + number(shown, DIGITS[key] ?? 1) + " " + unit + mark;
      Pid.showValue(key, reading, quality, quality === "good" ? "" : t(quality));
      if (shown !== null) texts.push((curve ? t(curve.label.split(",")[0]) : key) + " " + reading);
    }
    tellLoop(texts);
    for (const key of [...pumpKeys(layout), "valve"]) {
      const speed = value(key + "_read") ?? value(key);
      Pid.showPart(key, speed === null ? "unknown" : speed > 1 ? "ok" : "off");
    }
    Pid.showPart("racks", value("case") > 80 ? "hurt" : "ok");
  }
  return { show, draw };
})();

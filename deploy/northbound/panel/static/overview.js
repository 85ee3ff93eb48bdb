// SPDX-License-Identifier: Apache-2.0
"use strict";
// The first view: the diagram with live values and their quality, and the main values as tiles.
const Overview = (() => {
  const { id, make, known } = Dom, t = Texts.text;
  const VALUES = { // key of the diagram: key of the point
    fws: "facility_supply_temperature", fws_return: "facility_return_temperature", fws_flow: "facility_flow", valve: "valve_position", supply: "supply_temperature", setpoint: "supply_setpoint",
    dp: "differential_pressure", dp_setpoint: "pressure_setpoint", return: "return_temperature", flow: "secondary_flow", heat: "heat", load: "it_power", level: "reservoir_level", filter: "filter_pressure", dew: "dew_margin",
    pump1: "pump1_speed", pump2: "pump2_speed",
  };
  const ALWAYS = ["fws", "valve", "supply", "dp", "return", "flow", "pump1"];
  const PREFIXED = { setpoint: "set", dp_setpoint: "set", level: "level", dew: "dew" };
  const TILES = ["supply_temperature", "return_temperature", "differential_pressure", "secondary_flow", "heat", "headroom", "dew_margin", "facility_supply_temperature", "valve_position", "pump1_speed", "pump2_speed", "load_limit", "reservoir_level", "power"];
  let drawn = "";

  const narrow = () => matchMedia("(max-width:43rem)").matches;
  const present = (state, key) => (state.points[key] || [null, "absent"])[1] !== "absent";
  function draw(state) { // the parts that the unit has; without data the last diagram stays
    const keys = Object.keys(VALUES).filter((key) => ALWAYS.includes(key) || (present(state, VALUES[key]) && !(narrow() && key === "dp_setpoint")));
    const layout = JSON.stringify([keys, narrow(), Texts.language]);
    if (layout === drawn || (state.stale && drawn && JSON.parse(drawn)[1] === narrow() && JSON.parse(drawn)[2] === Texts.language)) return;
    drawn = layout;
    const labels = ["facility", "exchanger", "supply", "return", "racks", "dp", ...(keys.includes("fws_return") ? ["fws_return"] : [])];
    Pid.build(id("loop"), { narrow: narrow(), pumps: keys.includes("pump2") ? 2 : 1, filter: keys.includes("filter"), labels, values: keys });
  }
  const running = (value, quality) => (quality !== "good" && quality !== "uncertain" ? "unknown" : value ? "ok" : "off");
  function showDiagram(state) {
    draw(state);
    for (const [key, name] of Object.entries(VALUES)) {
      const shown = Format.point(state, name), prefix = PREFIXED[key] ? t("pid." + PREFIXED[key]) + " " : "";
      const mark = shown.quality === "uncertain" ? " ?" : shown.quality === "bad" ? " ✗" : "";
      Pid.showValue(key, prefix + shown.text + mark, shown.quality, shown.title);
    }
    for (const n of [1, 2]) {
      const flag = state.points[`pump${n}_running`] || [null, "absent"], speed = state.points[`pump${n}_speed`] || [null, "absent"];
      Pid.showPart("pump" + n, known(flag[0]) ? running(flag[0], flag[1]) : running(speed[0] > 1, speed[1]));
    }
    const valve = state.points.valve_position || [null, "absent"];
    Pid.showPart("valve", running(valve[0] > 1, valve[1]));
    Pid.showPart("filter", state.alarms.some((a) => a.active && a.code === "filter_high") ? "hurt" : "ok");
    Pid.showPart("racks", state.stale ? "unknown" : state.alarms.some((a) => a.active && ["heat_lost", "flow_low"].includes(a.code)) ? "hurt" : "ok");
    id("loop").ariaLabel = t("diagram") + ": " + ["supply_temperature", "return_temperature", "differential_pressure", "secondary_flow"].map((key) => Format.pointTitle(key) + " " + Format.point(state, key).text).join(", ");
  }
  function showTiles(state) {
    const keys = TILES.filter((key) => state.stale || present(state, key)), place = id("tiles");
    Dom.refill(place, [keys, Texts.language, Object.keys(Format.catalogue.points).length], () => keys.map((key) => make("div", {}, make("dt", { textContent: Format.pointTitle(key) }), make("dd"))));
    keys.forEach((key, i) => {
      const shown = Format.point(state, key), value = place.children[i].lastElementChild;
      value.textContent = shown.text;
      value.className = shown.quality;
      value.title = shown.title;
    });
  }
  function update(state) { showDiagram(state); showTiles(state); }
  return { update };
})();

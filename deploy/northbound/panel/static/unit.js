// SPDX-License-Identifier: Apache-2.0
"use strict";
// The unit: name plate with QR code, versions, clock, link, further parts, and all values.
const Unit = (() => {
  const { id, make, known } = Dom, t = Texts.text;
  const IDENTITY = ["site", "unit", "manufacturer", "model", "part_number", "serial_number", "production_date", "location", "asset_tag"];
  const MAX_DEPTH = 4;
  const facts = (pairs) => make("dl", { className: "facts" }, ...pairs.flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", {}, value)]));
  const card = (title, ...children) => make("section", { className: "card" }, make("h2", { textContent: t(title) }), ...children);
  const plain = (value) => (value === true ? t("yes") : value === false ? t("no") : known(value) && value !== "" ? String(value) : "–");
  function fact(name, value) { // thousandths and microseconds of the record in their units
    const milli = name.match(/^(.*)_milli_(c|pct|kpa|k)$/);
    if (milli && typeof value === "number") return [milli[1], (value / 1000).toFixed(1) + " " + { c: "°C", pct: "%", kpa: "kPa", k: "K" }[milli[2]]];
    if (name.endsWith("_us") && typeof value === "number") return [name.slice(0, -3), Format.quantity(value, "us")];
    return [name, plain(value)];
  }
  function tree(value, depth = 0) { // a part of the record that has no own view
    if (!value || typeof value !== "object") return [make("p", { textContent: plain(value) })];
    const entries = Array.isArray(value) ? value.map((v, i) => [String(i + 1), v]) : Object.entries(value);
    const simple = entries.filter(([, v]) => !v || typeof v !== "object"), deep = entries.filter(([, v]) => v && typeof v === "object");
    const parts = simple.length ? [facts(simple.map(([k, v]) => { const [name, text] = fact(k, v); return [Format.word("field.", name), text]; }))] : [];
    if (depth < MAX_DEPTH) for (const [k, v] of deep) parts.push(make("h3", { textContent: Format.word("field.", k) }), ...tree(v, depth + 1));
    return parts;
  }

  function redundancy(state) { // the pair of controllers and the group of units, if this unit has them
    return ["pair", "group"].filter((part) => state.details[part]).map((part) => {
      const keys = Object.keys(Format.catalogue.points).filter((key) => Format.catalogue.points[key].group === part && state.points[key]);
      const pairs = keys.map((key) => [Format.pointTitle(key), Format.point(state, key).text]);
      if (part === "group") for (const name of ["lead", "selected", "received"]) pairs.push([t("group." + name), [].concat(state.details.group[name] ?? []).join(", ") || "–"]);
      const shown = card("part." + part, facts(pairs));
      shown.classList.add(part);
      return shown;
    });
  }

  const without = (map, names) => Object.fromEntries(Object.entries(map).filter(([name]) => !names.includes(name)));

  function build(state) {
    const identity = state.identity, name = card("name plate", facts(IDENTITY.filter((k) => identity[k]).map((k) => [t("identity." + k), identity[k]])));
    if (identity.serial_number) name.append(make("img", { className: "qr", src: "/panel/api/serial.svg?" + encodeURIComponent(identity.serial_number), alt: t("qr", { serial: identity.serial_number }) }));
    const versions = card("versions", facts([[t("software"), state.software || "–"], [t("configuration"), t("change n", { n: state.configuration[0] })], [t("hash"), state.configuration[1].slice(0, 16) || "–"]]));
    const others = Object.entries(state.details).filter(([key, v]) => key !== "mode" && key !== "group" && v && typeof v === "object").map(([key, v]) => make("details", { className: "card" }, make("summary", { textContent: Format.word("part.", key) }), ...tree(v)));
    return [make("div", { className: "grid" }, name, versions,
      card("clock", facts([[t("utc"), Format.utc(state.utc)], [t("bound"), known(state.utc_bound_us) ? "± " + Format.quantity(state.utc_bound_us, "us") : "–"]]), ...tree(without(state.clock, ["utc_us", "bound_us", "utc"]))),
      card("link", ...tree(state.link)), ...redundancy(state), ...others)];
  }
  function pointTable(state) {
    const keys = Object.keys(Format.catalogue.points).filter((key) => state.points[key]);
    const head = make("thead", {}, make("tr", {}, ...["point", "value", "quality", "age of value"].map((key) => make("th", { textContent: t(key), scope: "col" }))));
    return make("table", {}, head, make("tbody", {}, ...keys.map((key) => make("tr", {}, make("th", { scope: "row", textContent: Format.pointTitle(key) }), make("td", { className: "number" }), make("td"), make("td", { className: "number" })))));
  }
  function showPoints(state, body) {
    const keys = Object.keys(Format.catalogue.points).filter((key) => state.points[key]);
    keys.forEach((key, i) => {
      const [, value, quality, age] = body.rows[i].children, shown = Format.point(state, key), ageMs = state.points[key][2];
      body.rows[i].hidden = shown.quality === "absent" && !state.stale;
      value.textContent = shown.text;
      quality.textContent = t("quality." + shown.quality);
      quality.className = shown.quality === "good" ? "" : shown.quality;
      age.textContent = known(ageMs) ? (ageMs / 1000).toFixed(1) + " s" : "–";
    });
  }
  let parts = null, table = null;
  function update(state) { // called while the view is shown
    const place = id("unit");
    if (!parts || !place.contains(parts)) {
      parts = make("div");
      table = make("details", { className: "card" }, make("summary", { textContent: t("all values") }));
      place.replaceChildren(parts, table);
    }
    const opened = [...parts.querySelectorAll("details[open] summary")].map((s) => s.textContent), slow = { ...state, points: 0, sequence: 0, age_ms: 0, uptime_s: 0, utc: state.utc && state.utc.slice(0, 18), alarms: 0, actuators: 0 };
    Dom.refill(parts, [slow, Texts.language], () => build(state));
    for (const d of parts.querySelectorAll("details")) d.open = opened.includes(d.firstElementChild.textContent);
    Dom.refill(table, [Texts.language, Object.keys(Format.catalogue.points).length], () => [make("summary", { textContent: t("all values") }), pointTable(state)]);
    if (table.open) showPoints(state, table.querySelector("tbody"));
  }
  return { update, tree };
})();

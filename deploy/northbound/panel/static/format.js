// SPDX-License-Identifier: Apache-2.0
"use strict";
// Values, times and texts for people. A value that is not known is a dash, never 0.
const Format = (() => {
  const t = Texts.text;
  const UNITS = { Cel: "°C", "1": "", "W.h": "Wh", us: "µs" };
  const DIGITS = { Cel: 1, K: 1, kPa: 1, "L/min": 0, "%": 0, W: 0, h: 0, "1": 0, s: 0, us: 0, "W.h": 0, kW: 1, kWh: 1, ms: 1 };
  let catalogue = { alarms: {}, points: {}, actions: {}, modes: [], max_minutes: 240, max_shelve_hours: 8 };

  function scaled(value, unit) {
    if (unit === "W") return [value / 1000, "kW"];
    if (unit === "W.h") return [value / 1000, "kWh"];
    if (unit === "us" && Math.abs(value) >= 1000) return [value / 1000, "ms"];
    return [value, unit];
  }
  const unitText = (unit) => UNITS[unit] ?? unit;
  function quantity(value, unit, digits = null) {
    if (!Dom.known(value)) return "–";
    const [shown, shownUnit] = scaled(value, unit);
    return (shown.toFixed(digits ?? DIGITS[shownUnit] ?? 1) + " " + unitText(shownUnit)).trim();
  }
  const unitOf = (key) => (catalogue.points[key] || {}).unit || FALLBACK_UNITS[key] || "";
  const FALLBACK_UNITS = {}; // until the catalogue is here
  function point(state, key) { // {text, quality, title}
    const [value, quality, ageMs] = state.points[key] || [null, "absent", null];
    const words = (catalogue.points[key] || {}).words || [];
    let text = quantity(value, unitOf(key));
    if (words.length && Dom.known(value)) text = word("state.", words[value]);
    else if ((catalogue.points[key] || {}).kind === "flag" && Dom.known(value)) text = t(value ? "yes" : "no");
    const age = Dom.known(ageMs) && ageMs > 2000 ? ", " + t("age", { age: duration(ageMs / 1000) }) : "";
    return { text, value, quality, title: pointTitle(key) + ": " + t("quality." + quality) + age };
  }
  function pointTitle(key) {
    const digits = key.match(/\d+/), template = key.replace(/\d+/, "{n}");
    const translated = "point." + template;
    if (Texts.language !== "en" && Texts.has(translated)) return t(translated, { n: digits ? digits[0] : "" });
    return (catalogue.points[key] || {}).title || key;
  }
  function duration(seconds) {
    const s = Math.max(0, Math.round(seconds));
    if (s < 100) return t("n s", { n: s });
    if (s < 6000) return t("n min", { n: Math.round(s / 60) });
    if (s < 172_800) return t("n h", { n: Math.round(s / 3600) });
    return t("n d", { n: Math.round(s / 86_400) });
  }
  const utc = (iso) => (iso ? iso.slice(0, 10) + " " + iso.slice(11, 19) + " UTC" : t("time unknown"));

  function alarm(item) { // texts of an alarm in the language of the page
    const entry = catalogue.alarms[item.code] || {}, zh = Texts.language === "zh-CN" ? entry.zh || {} : {};
    return {
      title: zh.means || item.text || entry.means || item.code, text: item.text, means: zh.means || entry.means || "",
      cause: zh.cause || entry.cause || "", consequence: zh.consequence || entry.consequence || "", todo: zh.do || item.action || entry.do || "", respond: entry.respond_s ? duration(entry.respond_s) : "", latched: Boolean(entry.reset),
    };
  }
  const RANKS = { 10: "loop", 30: "proof", 40: "protection", 50: "manual", 60: "interlock", 70: "lockout" };
  const rank = (value) => (Dom.known(value) ? t("rank." + (RANKS[value] || "other"), { n: value }) : "–");
  const word = (prefix, value) => (Texts.has(prefix + value) ? t(prefix + value) : String(value ?? "–"));
  return { quantity, unitText, unitOf, point, pointTitle, duration, utc, alarm, rank, word, setCatalogue: (next) => { catalogue = next; }, get catalogue() { return catalogue; } };
})();

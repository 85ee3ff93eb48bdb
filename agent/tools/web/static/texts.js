// SPDX-License-Identifier: Apache-2.0
"use strict";
// Languages of a page. Each page adds its catalogues: English has all keys, a missing key of another
// language is shown in English. Elements with data-t, data-t-label or data-t-placeholder are filled.
const Texts = (() => {
  const KEY = "coldloop language", LANGUAGES = { en: "English", "zh-CN": "中文" };
  const catalogues = { en: {}, "zh-CN": {} };
  const listeners = [];
  function stored() { try { return localStorage.getItem(KEY); } catch { return null; } }
  let language = LANGUAGES[stored()] ? stored() : (navigator.language || "").startsWith("zh") ? "zh-CN" : "en";

  function text(key, values = {}) {
    const found = catalogues[language][key] ?? catalogues.en[key] ?? key;
    return found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "–");
  }
  const has = (key) => key in catalogues.en;
  function apply(root = document) {
    document.documentElement.lang = language;
    for (const e of root.querySelectorAll("[data-t]")) e.textContent = text(e.dataset.t);
    for (const e of root.querySelectorAll("[data-t-label]")) e.ariaLabel = text(e.dataset.tLabel);
    for (const e of root.querySelectorAll("[data-t-placeholder]")) e.placeholder = text(e.dataset.tPlaceholder);
  }
  function choose(next) {
    if (!LANGUAGES[next]) return;
    language = next;
    try { localStorage.setItem(KEY, next); } catch { /* the choice lasts until the page is closed */ }
    apply();
    listeners.forEach((call) => call());
  }
  function bind(select) {
    select.replaceChildren(...Object.entries(LANGUAGES).map(([value, textContent]) => Dom.make("option", { value, textContent, lang: value })));
    select.value = language;
    select.onchange = () => choose(select.value);
  }
  return {
    text, has, apply, choose, bind,
    add: (name, catalogue) => Object.assign(catalogues[name], catalogue),
    onChange: (call) => listeners.push(call),
    missing: () => Object.keys(catalogues.en).filter((key) => !(key in catalogues["zh-CN"])),
    get language() { return language; },
  };
})();
Texts.add("en", {
  "pid.facility": "facility water", "pid.exchanger": "exchanger", "pid.supply": "supply", "pid.return": "return", "pid.racks": "racks", "pid.dp": "pressure difference", "pid.fws_return": "facility return", "pid.case": "hottest case", "pid.own": "controls itself",
});
Texts.add("zh-CN", {
  "pid.facility": "一次侧供水", "pid.exchanger": "换热器", "pid.supply": "二次侧供水", "pid.return": "二次侧回水", "pid.racks": "机柜", "pid.dp": "压差", "pid.fws_return": "一次侧回水", "pid.case": "最热芯片外壳", "pid.own": "自行控制",
});

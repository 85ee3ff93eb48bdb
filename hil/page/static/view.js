// SPDX-License-Identifier: Apache-2.0
"use strict";
// Draws frames and states; sends no requests.
const View = (() => {
  const { id, make, number } = Dom, t = Texts.text;
  const clock = (us) => (us ? new Date(us / 1000).toISOString().slice(11, 19) : "–");

  function showHeader(state) {
    const agent = state.agent, mode = id("mode");
    mode.textContent = state.mode === "free" ? t("free") : t("running") + " " + state.scenario;
    mode.className = "pill " + state.mode;
    id("utc").textContent = clock(agent.utc_us);
    id("clock").textContent = agent.clock ? agent.clock.state : "–";
    id("agent").textContent = (agent.state || "–") + " · " + state.dut;
    id("alarmcount").textContent = state.alarm_count;
    id("ports").textContent = Object.entries(state.ports).map(([k, v]) => k + " " + v).join("   ");
  }

  const UNIT_TEXTS = { Cel: "°C", "kW.h": "kWh", By: "bytes" };
  const unit = (f) => (f.unit ? " " + (UNIT_TEXTS[f.unit] || f.unit) : "");
  const between = (f) => (f.min === null ? "at most " + f.max : f.max === null ? "at least " + f.min
    : f.min === f.max ? String(f.min) : f.min + " to " + f.max) + unit(f);
  const VERDICT_TEXTS = { pass: "PASS", marginal: "PASS, MARGINAL", incomplete: "NOT COMPLETE", fail: "FAIL" };
  const SHORT_TEXTS = { ...VERDICT_TEXTS, marginal: "MARGINAL" };
  function showVerdict(last, reportAt) {
    const place = id("verdict");
    place.hidden = !last;
    if (!last) return;
    place.className = "verdict " + last.verdict;
    const [verdictText, text, next, link] = place.children;
    verdictText.textContent = t(VERDICT_TEXTS[last.verdict]);
    text.textContent = [last.suite, last.serial, (last.verdict_text || "").replace(VERDICT_TEXTS[last.verdict], "").replace(/^, /, ""), last.text].filter(Boolean).join(" · ");
    next.textContent = last.next ? t("Check next: ") + last.next : "";
    link.hidden = !last.report;
    if (last.report) link.href = reportAt(last.report, "report.html");
  }

  function showPhases(list) {
    id("phases").replaceChildren(...list.map((p) => make("div", { className: "phase" },
      make("span", { textContent: p.name }), make("b", { className: p.verdict, textContent: t(VERDICT_TEXTS[p.verdict] || p.verdict) }),
      make("progress", { max: 1, value: p.share }))));
  }

  const halfSpan = (limit) => Math.max(1, Math.abs(limit)), low = (f) => f.min ?? f.max - halfSpan(f.max);
  const span = (f) => (f.max ?? f.min + halfSpan(f.min)) - low(f) || 1;
  function markPosition(f) { // in %; the limits are at 12 % and 88 %
    if (f.value === null) return null;
    return Math.max(2, Math.min(98, 12 + 76 * (f.value - low(f)) / span(f)));
  }
  function showLimits(list) {
    if (!list.length) return;
    id("limits").replaceChildren(...list.map((f) => {
      const side = f.min === null ? "high" : f.max === null ? "low" : "";
      const bar = make("div", { className: "bar " + side }), at = markPosition(f);
      if (f.band) bar.style.setProperty("--n", 76 * f.band / span(f) + "%");
      if (at !== null) bar.append(Object.assign(make("i"), { style: `left:${at}%` }));
      return make("div", { className: "limit" },
        make("span", { textContent: f.about, title: f.measure }), make("b", { textContent: number(f.value, 2) + unit(f) }),
        bar, make("small", { textContent: between(f) + ", " + f.window }), make("b", { className: f.verdict, textContent: t(SHORT_TEXTS[f.verdict] || f.verdict) }),
        make("small", { textContent: f.worst === null || f.verdict === "waiting" ? "" : "worst so far " + number(f.worst, 2) + unit(f) + " at " + number(f.worst_at_s, 0) + " s" }));
    }));
  }

  // A line that stays is the same element: a screen reader reads new lines only.
  function showList(name, list) {
    const place = id(name), keys = list.map((a) => JSON.stringify(a));
    const old = new Map([...place.children].map((e) => [e.contentKey, e]));
    for (const [key, e] of old) if (!keys.includes(key)) e.remove();
    list.forEach((a, i) => {
      const e = old.get(keys[i]) || Object.assign(make("li", {}, a.line, ...(a.do ? [make("small", { textContent: a.do })] : [])), { contentKey: keys[i] });
      if (place.children[i] !== e) place.insertBefore(e, place.children[i] || null);
    });
  }

  return { id, make, showHeader, showVerdict, showPhases, showLimits, showList, number, VERDICT_TEXTS, SHORT_TEXTS };
})();

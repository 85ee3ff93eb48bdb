// SPDX-License-Identifier: Apache-2.0
"use strict";
// Puts the views together: header, navigation by the address, language, and the trends.
(() => {
  const { id } = Dom, t = Texts.text;
  const VIEWS = ["overview", "alarms", "trends", "control", "unit"], TREND_MS = 60_000;
  let state = null, lost = false, view = "overview";

  function showHeader(state) {
    const name = [state.identity.site, state.identity.unit].filter(Boolean).join(" / ");
    id("unitname").textContent = name || "coldloop";
    document.title = (name || "coldloop") + " · " + t("panel");
    id("unitstate").textContent = t("state." + state.unit_state);
    id("unitstate").className = "state " + state.unit_state;
    const bound = Dom.known(state.utc_bound_us) ? " ± " + Format.quantity(state.utc_bound_us, "us") : "";
    id("clocktext").textContent = state.utc ? state.utc.slice(11, 19) + " UTC" + bound : t("time unknown");
    id("account").hidden = !state.can_sign_in;
  }
  function showStale() {
    const text = lost ? t("no connection") : state && state.stale ? t("no data", { age: Dom.known(state.age_ms) ? Format.duration(state.age_ms / 1000) : t("unknown time") }) : "";
    if (id("stale").textContent !== text) id("stale").textContent = text;
    id("stale").hidden = !text;
  }
  const UNKNOWN = (points) => Object.fromEntries(Object.keys(points).map((key) => [key, [null, "absent", null]]));
  // Without the server: as the server shows a unit without a record. Nothing of the last state stays as if it were of now.
  const withoutRecord = (last) => ({ ...last, stale: true, unit_state: "unknown", utc: null, utc_bound_us: null, points: UNKNOWN(last.points), alarms: [], actuators: [], clock: {}, link: {}, details: {} });
  function render() {
    showStale();
    if (!state) return;
    const shown = lost ? withoutRecord(state) : state;
    showHeader(shown);
    Alarms.update(shown);
    if (view === "overview") Overview.update(shown);
    if (view === "control") Control.update(shown);
    if (view === "unit") Unit.update(shown);
  }
  function showAccount() {
    const session = Link.session;
    id("account").textContent = session ? t("sign out", { user: session.user }) : t("sign in");
  }
  id("account").onclick = () => (Link.session ? Link.signOut() : Dialogs.signIn());

  function goTo(name, focus) {
    view = VIEWS.includes(name) ? name : "overview";
    for (const v of VIEWS) id(v).hidden = v !== view;
    for (const link of document.querySelectorAll("nav a")) {
      if (link.getAttribute("href") === "#" + view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    render();
    if (view === "trends") showTrends();
    if (focus) { id(view).focus({ preventScroll: true }); document.querySelector("main").scrollTop = 0; }
  }
  addEventListener("hashchange", () => goTo(location.hash.slice(1), true));

  let trendTimer = null, plotsReady = false;
  async function showTrends() {
    clearTimeout(trendTimer);
    try {
      if (!plotsReady) { plotsReady = true; Plots.start(id("plots"), id("plottools")); }
      const { curves, rows } = await Link.get("trend?minutes=1440");
      const used = curves.map((c, i) => ({ ...c, at: i + 1 })).filter((c) => rows.some((r) => r[c.at] !== null));
      const labelled = used.map((c) => ({ key: c.key, plot: t("plot." + c.plot), label: Format.pointTitle(c.key), ...plotUnit(c.unit), kind: c.key.endsWith("setpoint") ? "set" : "read" }));
      id("notrend").hidden = used.length > 0;
      Plots.setCurves(labelled, rows.map((r) => [r[0], ...used.map((c, i) => (r[c.at] === null ? null : r[c.at] * labelled[i].factor))]));
    } catch { id("notrend").hidden = false; }
    if (view === "trends") trendTimer = setTimeout(showTrends, TREND_MS);
  }
  const plotUnit = (unit) => (unit === "W" ? { unit: "kW", factor: 0.001 } : { unit: Format.unitText(unit), factor: 1 });
  addEventListener("resize", () => { render(); Plots.fit(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (view === "trends") showTrends(); });

  Link.on("state", (next) => { state = next; render(); });
  Link.on("lost", (next) => { lost = next; render(); });
  Link.on("session", showAccount);
  Texts.bind(id("language"));
  Texts.onChange(() => { Keyboard.redraw(); showAccount(); render(); if (view === "trends") showTrends(); });
  Texts.apply();
  Keyboard.attach(id("logindialog").querySelector("form"), id("keys"));
  goTo(location.hash.slice(1), false);
  Link.start();
  Link.get("catalogue").then((next) => { Format.setCatalogue(next); document.body.dataset.ready = "yes"; render(); if (view === "trends") showTrends(); }).catch(() => { /* texts of the state remain */ });
})();

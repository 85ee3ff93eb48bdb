// SPDX-License-Identifier: Apache-2.0
"use strict";
// Receives frames and states, sends requests, draws with View.
(() => {
  const { id, make } = View, t = Texts.text;
  const token = new URLSearchParams(location.search).get("token");
  const withToken = (path) => path + (token ? "?token=" + encodeURIComponent(token) : "");
  const reportAt = (run, name) => withToken("reports/" + encodeURIComponent(run) + "/" + name);
  let curves = [], state = null, catalogue = null, shownReport = null;

  async function request(name, fields = {}) {
    const reply = await fetch(withToken("ask/" + name), {
      method: "POST", headers: { "Content-Type": "application/json", "X-Coldloop": "1" }, body: JSON.stringify(fields),
    });
    const body = await reply.json();
    if (!reply.ok) throw new Error(body.error);
    return body.answer;
  }
  async function guarded(call) {
    id("problem").textContent = "";
    try { return await call(); } catch (error) { id("problem").textContent = error.message; return null; }
  }

  function onState(next) {
    state = next;
    View.showHeader(state);
    View.showVerdict(state.last, reportAt);
    View.showPhases(state.phases);
    View.showLimits(state.findings);
    for (const name of ["alarms", "actuators"]) View.showList(name, state[name]);
    Sky.show(state.sky);
    Plots.setRun(state.run);
    showDevices(state.devices);
    markFaults(state.faults);
    showPrompt(state.asking);
    id("go").disabled = id("repeat").disabled = state.mode !== "free";
    id("abort").disabled = state.mode === "free";
    const report = state.last && state.last.report;
    if (report !== shownReport) { shownReport = report; showHistory(); }
  }

  // Keeps a field with the focus.
  function showDevices(list) {
    const place = id("devices");
    if (place.childElementCount !== list.length) place.replaceChildren(...list.map(makeDevice));
    list.forEach((d, i) => {
      const [name, field, button] = place.children[i].children;
      name.textContent = d.name;
      name.className = d.real ? (d.up ? "pass" : "fail") : "";
      field.placeholder = "emulated";
      if (d.real && document.activeElement !== field) field.value = d.real;
      button.textContent = d.real ? "Emulate" : "Swap in";
      button.ariaLabel = button.textContent + ": " + d.name;
    });
  }
  function makeDevice(d) {
    const field = make("input", { ariaLabel: "port of the real " + d.name });
    const button = make("button", { className: "plain" });
    const problem = make("small", { className: "problem", role: "alert" });
    button.onclick = async () => {
      const real = button.textContent === "Emulate";
      problem.textContent = "";
      if (!real && !field.value.trim()) { problem.textContent = "type the port of the real device"; field.focus(); return; }
      try {
        await request("swap", { name: d.name, port: real ? "" : field.value.trim() });
        if (real) field.value = "";
      } catch (error) { problem.textContent = error.message; }
    };
    return make("div", { className: "device" }, make("b"), field, button, problem);
  }

  function filterFaults() {
    const text = id("find").value.toLowerCase();
    for (const row of id("faults").children) row.hidden = !row.textContent.toLowerCase().includes(text);
  }
  const number = (value) => String(Number(value.toPrecision(6)));
  function makeFault(f) {
    const button = make("button", { className: "plain", textContent: f.ends ? "On" : "Do" });
    const text = make("span", { textContent: f.about, title: f.name });
    const row = make("div", { className: "fault" }, text);
    row.dataset.name = f.name;
    const range = f.limits && `${number(f.limits[0])} to ${number(f.limits[1])} ${f.unit}`.trim();
    const field = f.limits && make("input", { type: "number", step: f.whole ? 1 : "any", min: f.limits[0], max: f.limits[1], placeholder: f.unit, title: range, ariaLabel: `value of ${f.name}, ${range}` });
    const problem = make("small", { className: "problem", role: "alert" });
    if (field) {
      row.append(field);
      field.oninput = () => { text.textContent = f.about.replace("VALUE", field.value || "…"); problem.textContent = ""; };
      field.oninput();
    }
    button.onclick = async () => {
      const on = !row.classList.contains("on");
      problem.textContent = "";
      if (on && field && !field.validity.valid) { problem.textContent = "not a value from " + range; field.focus(); return; }
      if (on && field && field.value === "") { problem.textContent = "a value is needed: " + range; field.focus(); return; }
      try {
        await request("fault", { name: f.name, value: field && field.value !== "" ? Number(field.value) : null, on });
      } catch (error) { problem.textContent = error.message; }
    };
    button.ariaLabel = button.textContent + ": " + f.name;
    row.append(button, problem);
    return row;
  }
  function markFaults(list) {
    const on = new Set(list.map(([name]) => name));
    for (const row of id("faults").children) {
      const isOn = on.has(row.dataset.name), button = row.querySelector("button");
      row.classList.toggle("on", isOn);
      if (button.textContent !== "Do") button.textContent = isOn ? "Off" : "On";
      button.ariaLabel = button.textContent + ": " + row.dataset.name;
    }
  }

  function showPrompt(asking) {
    const place = id("asking");
    const p = place.querySelector("p");
    if (place.hidden === !asking && (!asking || p.textContent === asking.text)) return;
    place.hidden = !asking;
    if (!asking) return;
    p.textContent = asking.text;
    const field = place.querySelector("input");
    field.hidden = asking.ask === "confirm";
    field.inputMode = asking.ask === "number" ? "decimal" : "text";
    place.querySelector("button[value=no]").hidden = !field.hidden;
    place.querySelector("button").textContent = field.hidden ? "Yes" : "Store";
    id("answerunit").textContent = [asking.unit, asking.min === null ? "" : `${asking.min} to ${asking.max}`].filter(Boolean).join(", ");
    (field.hidden ? place.querySelector("button") : field).focus();
  }
  id("asking").querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    const field = event.target.elements.text, choice = event.submitter.value;
    const problem = id("answerproblem");
    problem.textContent = "";
    request("answer", { text: field.hidden ? choice : field.value })
      .then(() => { field.value = ""; }, (error) => { problem.textContent = error.message; field.focus(); });
  };

  async function showHistory() {
    const serial = id("start").elements.serial.value.trim();
    const list = await guarded(() => request("history", { serial })) || [];
    const heads = list.map(recordName);
    id("history").replaceChildren(...list.map((r, i) => makeRecord(r, heads.indexOf(heads[i]) !== heads.lastIndexOf(heads[i]))));
    if (!list.length) id("history").append(make("p", { className: "dim", textContent: "no records" + (serial ? " of " + serial : "") }));
  }

  const MAX_OVERLAYS = 5;
  const overlaid = new Map(); // report -> its curves
  const endOf = (r) => r.ended_utc.slice(0, 16).replace("T", " ");
  const recordName = (r) => [r.suite, r.serial, endOf(r)].filter(Boolean).join(" ");
  function makeRecord(r, isRepeated) {
    const when = endOf(r), name = recordName(r) + (isRepeated ? ` (${r.folder})` : "");
    const link = make("a", { href: reportAt(r.report, "report.html"), target: "_blank" },
      make("b", { className: r.problem ? "fail" : r.verdict, textContent: t(r.problem ? "NOT VALID" : View.SHORT_TEXTS[r.verdict] || r.verdict) }), make("span", { textContent: r.suite + " " + r.serial }), make("span", { textContent: when }));
    if (isRepeated) link.append(make("small", { textContent: r.folder }));
    link.title = r.folder;
    if (!r.curves) return make("div", { className: "record" }, link, make("small", { className: "problem", textContent: r.problem }));
    const button = make("button", { className: "plain", textContent: t("Overlay"), ariaLabel: t("Overlay") + ": " + name });
    const problem = make("small", { className: "problem", role: "alert" });
    button.setAttribute("aria-pressed", overlaid.has(r.report));
    button.onclick = async () => {
      problem.textContent = "";
      try {
        if (overlaid.has(r.report)) overlaid.delete(r.report);
        else if (overlaid.size === MAX_OVERLAYS) throw new Error(t("at most 5 runs can be overlaid"));
        else overlaid.set(r.report, { ...await request("curves", { report: r.report, scenario: (state.run || {}).name || "" }), title: name });
      } catch (error) { problem.textContent = error.message; }
      button.setAttribute("aria-pressed", overlaid.has(r.report));
      showOverlays();
    };
    return make("div", { className: "record" }, link, button, problem);
  }
  function showOverlays() {
    const list = [...overlaid.values()];
    Plots.setOverlays(list);
    id("overlays").textContent = list.length ? t("Overlaid from the start of the run: ") + list.map((o, i) => `${i + 1} ${o.title}`).join(" · ") : "";
  }

  const form = id("start");
  const startRun = () => guarded(() => request("start", Object.fromEntries(new FormData(form))));
  form.onsubmit = (event) => { event.preventDefault(); startRun(); };
  form.elements.serial.onchange = showHistory;
  id("repeat").onclick = startRun;
  id("abort").onclick = () => guarded(() => request("abort"));
  id("find").oninput = filterFaults;
  addEventListener("keydown", (event) => { if (event.key === "Escape" && state && state.mode !== "free") id("abort").focus(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => Plots.rebuild());
  addEventListener("resize", Plots.fit);

  const durationText = (s) => (s < 120 ? s + " s" : Math.round(s / 60) + " min");
  const showTitle = () => { id("about").textContent = (form.elements.suite.selectedOptions[0] || {}).title || ""; };
  form.elements.suite.onchange = showTitle;
  async function loadCatalogue() {
    catalogue = await guarded(() => request("catalogue"));
    if (!catalogue) return;
    const group = (label, list) => make("optgroup", { label }, ...list.map((s) => make("option", { value: s.name, textContent: s.name + ", " + durationText(s.seconds), title: s.title })));
    form.elements.suite.replaceChildren(group(t("suites"), catalogue.suites), group(t("scenarios"), catalogue.scenarios));
    showTitle();
    showHistory();
  }
  async function loadFaults() {
    const list = await guarded(() => request("faults"));
    if (!list) return;
    id("faults").replaceChildren(...list.map(makeFault));
    filterFaults();
    if (state) markFaults(state.faults);
  }

  function connect() {
    const source = new EventSource(withToken("events"));
    source.addEventListener("hello", (event) => {
      const hello = JSON.parse(event.data);
      curves = hello.curves;
      Plots.setCurves(curves, hello.history);
      if (hello.state.mode) onState(hello.state);
      if (!catalogue) loadCatalogue();
      loadFaults();
    });
    source.addEventListener("frame", (event) => {
      const row = JSON.parse(event.data);
      Plots.add(row);
      if (state && state.layout) Loop.show(curves, row, state.layout, state.qualities);
    });
    source.addEventListener("break", () => { Plots.addBreak(); loadFaults(); });
    source.addEventListener("state", (event) => onState(JSON.parse(event.data)));
    source.onerror = () => { id("mode").textContent = t("no connection"); id("mode").className = "pill lost"; };
  }
  function describeRun() { // what a picture of the curves must name: unit, person, verdict
    const { serial, operator } = id("start").elements, verdict = id("verdict");
    const names = [["Serial number", serial.value], ["Tested by", operator.value]].filter(([, value]) => value.trim());
    return [
      ...names.map(([name, value]) => t(name) + ": " + value.trim()),
      ...(verdict.hidden ? [] : [[...verdict.children].slice(0, 2).map((e) => e.textContent).join(" · ")]),
    ].flat();
  }
  Plots.start(id("plots"), id("plottools"), describeRun);
  Texts.bind(id("language"));
  Texts.onChange(() => { Plots.rebuild(); if (state) onState(state); });
  Texts.apply();
  connect();
})();

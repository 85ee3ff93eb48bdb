// SPDX-License-Identifier: Apache-2.0
"use strict";
// Receives frames and states, sends requests, draws with View.
(() => {
  const { id, make } = View;
  const token = new URLSearchParams(location.search).get("token");
  const withToken = (path) => path + (token ? "?token=" + encodeURIComponent(token) : "");
  const reportAt = (run, name) => withToken("reports/" + encodeURIComponent(run) + "/" + name);
  const MAX_ROWS = 9000; // 15 minutes
  let curves = [], rows = [], plots = [], state = null, catalogue = null, needsDraw = true, shownReport = null;

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
    View.showSky(state.sky);
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
    });
  }
  function makeDevice(d) {
    const field = make("input", { ariaLabel: "port of the real " + d.name });
    const button = make("button", { className: "plain" });
    button.onclick = () => guarded(async () => {
      const real = button.textContent === "Emulate";
      await request("swap", { name: d.name, port: real ? "" : field.value });
      if (real) field.value = "";
    });
    return make("div", { className: "device" }, make("b"), field, button);
  }

  function filterFaults() {
    const text = id("find").value.toLowerCase();
    for (const row of id("faults").children) row.hidden = !row.textContent.toLowerCase().includes(text);
  }
  function makeFault(f) {
    const button = make("button", { className: "plain", textContent: f.ends ? "On" : "Do" });
    const text = make("span", { textContent: f.about, title: f.name });
    const row = make("div", { className: "fault" }, text);
    row.dataset.name = f.name;
    const field = f.limits && make("input", { type: "number", step: "any", min: f.limits[0], max: f.limits[1], value: f.limits[0], ariaLabel: "value of " + f.name });
    if (field) {
      row.append(field);
      field.oninput = () => { text.textContent = f.about.replace("VALUE", field.value || "…"); };
      field.oninput();
    }
    button.onclick = () => guarded(() => request("fault", { name: f.name, value: field ? Number(field.value) : null, on: !row.classList.contains("on") }));
    row.append(button);
    return row;
  }
  function markFaults(list) {
    const on = new Set(list.map(([name]) => name));
    for (const row of id("faults").children) {
      const isOn = on.has(row.dataset.name), button = row.lastElementChild;
      row.classList.toggle("on", isOn);
      if (button.textContent !== "Do") button.textContent = isOn ? "Off" : "On";
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
    field.hidden = asking.ask !== "text";
    (field.hidden ? place.querySelector("button") : field).focus();
  }
  id("asking").querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    const field = event.target.elements.text, choice = event.submitter.value;
    guarded(() => request("answer", { text: choice === "yes" && !field.hidden ? field.value || "yes" : choice }));
    field.value = "";
  };

  async function showHistory() {
    const serial = id("start").elements.serial.value.trim();
    const list = await guarded(() => request("history", { serial })) || [];
    id("history").replaceChildren(...list.map((r) => make("a", { href: reportAt(r.report, "report.html"), target: "_blank" },
      make("b", { className: r.verdict, textContent: View.SHORT_TEXTS[r.verdict] }), make("span", { textContent: r.suite + " " + r.serial }), make("span", { textContent: r.ended_utc.slice(0, 16).replace("T", " ") }))));
    if (!list.length) id("history").append(make("p", { className: "dim", textContent: "no records" + (serial ? " of " + serial : "") }));
  }

  const form = id("start");
  const startRun = () => guarded(() => request("start", Object.fromEntries(new FormData(form))));
  form.onsubmit = (event) => { event.preventDefault(); startRun(); };
  form.elements.serial.onchange = showHistory;
  id("repeat").onclick = startRun;
  id("abort").onclick = () => guarded(() => request("abort"));
  id("find").oninput = filterFaults;
  addEventListener("keydown", (event) => { if (event.key === "Escape" && state && state.mode !== "free") id("abort").focus(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { plots = View.makePlots(curves); needsDraw = true; });
  addEventListener("resize", () => plots.forEach((p) => p.fit()));

  const durationText = (s) => (s < 120 ? s + " s" : Math.round(s / 60) + " min");
  const showTitle = () => { id("about").textContent = (form.elements.suite.selectedOptions[0] || {}).title || ""; };
  form.elements.suite.onchange = showTitle;
  async function loadCatalogue() {
    catalogue = await guarded(() => request("catalogue"));
    if (!catalogue) return;
    const group = (label, list) => make("optgroup", { label }, ...list.map((s) => make("option", { value: s.name, textContent: s.name + ", " + durationText(s.seconds), title: s.title })));
    form.elements.suite.replaceChildren(group("suites", catalogue.suites), group("scenarios", catalogue.scenarios));
    showTitle();
    id("faults").replaceChildren(...catalogue.faults.map(makeFault));
    showHistory();
  }

  function connect() {
    const source = new EventSource(withToken("events"));
    source.addEventListener("hello", (event) => {
      const hello = JSON.parse(event.data);
      curves = hello.curves;
      rows = hello.history;
      plots = View.makePlots(curves);
      needsDraw = true;
      if (hello.state.mode) onState(hello.state);
      if (!catalogue) loadCatalogue();
    });
    source.addEventListener("frame", (event) => {
      const row = JSON.parse(event.data);
      rows.push(row);
      if (rows.length > MAX_ROWS) rows.splice(0, rows.length - MAX_ROWS);
      View.showLoop(curves, row);
      needsDraw = true;
    });
    source.addEventListener("clear", () => { rows = []; needsDraw = true; });
    source.addEventListener("state", (event) => onState(JSON.parse(event.data)));
    source.onerror = () => { id("mode").textContent = "no connection"; id("mode").className = "pill lost"; };
  }
  setInterval(() => { if (needsDraw && !document.hidden) { plots.forEach((p) => p.draw(rows)); needsDraw = false; } }, 500);
  connect();
})();

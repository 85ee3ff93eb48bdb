"use strict";
// Listens to the bench, asks it, and hands what it says to View. Its only memory is the bench's.
(() => {
  const { id, make } = View;
  const token = new URLSearchParams(location.search).get("token");
  const withToken = (path) => path + (token ? "?token=" + encodeURIComponent(token) : "");
  const reportAt = (run, name) => withToken("reports/" + encodeURIComponent(run) + "/" + name);
  const KEPT = 9000; // rows: 15 minutes of frames
  let curves = [], rows = [], plots = [], state = null, catalogue = null, stale = true, shown = null;

  async function ask(name, words = {}) {
    const reply = await fetch(withToken("ask/" + name), {
      method: "POST", headers: { "Content-Type": "application/json", "X-Coldloop": "1" }, body: JSON.stringify(words),
    });
    const body = await reply.json();
    if (!reply.ok) throw new Error(body.error);
    return body.answer;
  }
  async function tried(call) {
    id("problem").textContent = "";
    try { return await call(); } catch (error) { id("problem").textContent = error.message; return null; }
  }

  function take(next) {
    state = next;
    View.head(state);
    View.verdict(state.last, reportAt);
    View.phases(state.phases);
    View.limits(state.findings);
    View.alarms(state.alarms);
    View.sky(state.sky);
    devices(state.devices);
    faultsOn(state.faults);
    question(state.asking);
    id("go").disabled = id("repeat").disabled = state.mode !== "free";
    id("abort").disabled = state.mode === "free";
    const report = state.last && state.last.report;
    if (report !== shown) { shown = report; history(); }
  }

  // Devices: a field for the port of a real one; what is typed is not taken away by an update.
  function devices(list) {
    const place = id("devices");
    if (place.childElementCount !== list.length) place.replaceChildren(...list.map(device));
    list.forEach((d, i) => {
      const [name, field, button] = place.children[i].children;
      name.textContent = d.name;
      name.className = d.real ? (d.up ? "pass" : "fail") : "";
      field.placeholder = "emulated";
      if (d.real && document.activeElement !== field) field.value = d.real;
      button.textContent = d.real ? "Emulate" : "Swap in";
    });
  }
  function device(d) {
    const field = make("input", { ariaLabel: "port of the real " + d.name });
    const button = make("button", { className: "plain" });
    button.onclick = () => tried(async () => {
      const real = button.textContent === "Emulate";
      await ask("swap", { name: d.name, port: real ? "" : field.value });
      if (real) field.value = "";
    });
    return make("div", { className: "device" }, make("b"), field, button);
  }

  function faults() {
    const wanted = id("find").value.toLowerCase();
    for (const row of id("faults").children) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }
  function fault(f) {
    const text = make("span", { textContent: f.about, title: f.name });
    const button = make("button", { className: "plain", textContent: f.ends ? "On" : "Do" });
    const row = make("div", { className: "fault" }, text);
    row.dataset.name = f.name;
    const field = f.limits && make("input", { type: "number", step: "any", min: f.limits[0], max: f.limits[1], value: f.limits[0], ariaLabel: "value of " + f.name });
    if (field) row.append(field);
    button.onclick = () => tried(() => ask("fault", { name: f.name, value: field ? Number(field.value) : null, on: !row.classList.contains("on") }));
    row.append(button);
    return row;
  }
  function faultsOn(list) {
    const on = new Set(list.map(([name]) => name));
    for (const row of id("faults").children) {
      const is = on.has(row.dataset.name), button = row.lastElementChild;
      row.classList.toggle("on", is);
      if (button.textContent !== "Do") button.textContent = is ? "Off" : "On";
    }
  }

  function question(asking) {
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
    const field = event.target.elements.text, said = event.submitter.value;
    tried(() => ask("answer", { text: said === "yes" && !field.hidden ? field.value || "yes" : said }));
    field.value = "";
  };

  async function history() {
    const serial = id("start").elements.serial.value.trim();
    const list = await tried(() => ask("history", { serial })) || [];
    id("history").replaceChildren(...list.map((r) => make("a", { href: reportAt(r.report, "report.html"), target: "_blank" },
      make("b", { className: r.verdict, textContent: View.SHORT[r.verdict] }), make("span", { textContent: r.suite + " " + r.serial }), make("span", { textContent: r.ended_utc.slice(0, 16).replace("T", " ") }))));
    if (!list.length) id("history").append(make("p", { className: "dim", textContent: "no records" + (serial ? " of " + serial : "") }));
  }

  const form = id("start");
  const begin = () => tried(() => ask("start", Object.fromEntries(new FormData(form))));
  form.onsubmit = (event) => { event.preventDefault(); begin(); };
  form.elements.serial.onchange = history;
  id("repeat").onclick = begin;
  id("abort").onclick = () => tried(() => ask("abort"));
  id("find").oninput = faults;
  addEventListener("keydown", (event) => { if (event.key === "Escape" && state && state.mode !== "free") id("abort").focus(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { plots = View.plots(curves); stale = true; });
  addEventListener("resize", () => plots.forEach((p) => p.fit()));

  const lasts = (s) => (s < 120 ? s + " s" : Math.round(s / 60) + " min");
  const chosen = () => { id("about").textContent = (form.elements.suite.selectedOptions[0] || {}).title || ""; };
  form.elements.suite.onchange = chosen;
  async function offer() {
    catalogue = await tried(() => ask("catalogue"));
    if (!catalogue) return;
    const group = (label, list) => make("optgroup", { label }, ...list.map((s) => make("option", { value: s.name, textContent: s.name + ", " + lasts(s.seconds), title: s.title })));
    form.elements.suite.replaceChildren(group("suites", catalogue.suites), group("scenarios", catalogue.scenarios));
    chosen();
    id("faults").replaceChildren(...catalogue.faults.map(fault));
    history();
  }

  function listen() {
    const source = new EventSource(withToken("events"));
    source.addEventListener("hello", (event) => {
      const hello = JSON.parse(event.data);
      curves = hello.curves;
      rows = hello.history;
      plots = View.plots(curves);
      stale = true;
      if (hello.state.mode) take(hello.state);
      if (!catalogue) offer();
    });
    source.addEventListener("frame", (event) => {
      const row = JSON.parse(event.data);
      rows.push(row);
      if (rows.length > KEPT) rows.splice(0, rows.length - KEPT);
      View.loop(curves, row);
      stale = true;
    });
    source.addEventListener("clear", () => { rows = []; stale = true; });
    source.addEventListener("state", (event) => take(JSON.parse(event.data)));
    source.onerror = () => { id("mode").textContent = "no connection"; id("mode").className = "pill lost"; };
  }
  setInterval(() => { if (stale && !document.hidden) { plots.forEach((p) => p.draw(rows)); stale = false; } }, 500);
  listen();
})();

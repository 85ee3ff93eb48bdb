// SPDX-License-Identifier: Apache-2.0
"use strict";
// Who holds each actuator, operating modes and manual control with a time limit, set-points, tests.
const Control = (() => {
  const { id, make, known } = Dom, t = Texts.text;
  const MODES = ["hand", "fill", "vent", "drain", "off"], TIMES = [5, 10, 30, 60, 240];
  let state = null, built = "", mode = "hand", minutes = 10;

  const card = (title, ...children) => make("section", { className: "card" }, make("h2", { textContent: t(title) }), ...children);
  function plainButton(text, action, className = "plain") {
    const element = make("button", { textContent: text, className, type: "button" });
    element.onclick = action;
    return element;
  }
  // Commands that the configuration of the unit permits; without the list the server decides.
  const permits = (command) => !Array.isArray(state.details.commands) || state.details.commands.includes(command);
  const onTrial = () => Boolean((state.details.remote || {}).trial);
  function guard(element, command) { element.disabled = !permits(command); if (element.disabled) element.title = t("not writable"); return element; }
  const barred = (...commands) => (commands.every(permits) ? [] : [make("p", { className: "hint", textContent: t("not writable") })]);
  function choice(name, values, selected, label, onChoose) {
    return make("fieldset", { className: "choice" }, make("legend", { className: "dim", textContent: t(name) }), ...values.map((value) => {
      const input = make("input", { type: "radio", name, value: String(value), checked: value === selected });
      input.onchange = () => onChoose(value);
      return make("label", {}, input, make("span", { textContent: label(value) }));
    }));
  }
  function stepper(label, value, low, high, step, unit) {
    const input = make("input", { type: "number", inputMode: "decimal", min: low, max: high, step: "any", value, ariaLabel: label });
    const move = (by) => { input.value = String(Math.round(1000 * Math.min(high, Math.max(low, (Number(input.value) || 0) + by))) / 1000); };
    const less = plainButton("−", () => move(-step)), more = plainButton("+", () => move(step));
    less.ariaLabel = t("less", { what: label });
    more.ariaLabel = t("more", { what: label });
    const element = make("div", { className: "stepper" }, less, input, more, make("span", { textContent: unit }));
    element.read = () => (input.value.trim() === "" || !input.validity.valid ? null : Number(input.value));
    element.input = input;
    return element;
  }

  function modeCard() {
    const hint = make("p", { className: "hint" }), hand = make("div", {}), valve = stepper(t("valve"), 50, 0, 100, 5, "%"), pumps = stepper(t("pumps"), 50, 0, 100, 5, "%");
    hand.append(make("span", { className: "dim", textContent: t("valve") }), valve, make("span", { className: "dim", textContent: t("pumps") }), pumps);
    const reflect = () => { hand.hidden = mode !== "hand"; hint.textContent = t("mode." + mode + ".hint"); };
    const problem = make("p", { className: "problem", role: "alert" });
    const start = plainButton(t("start mode"), () => {
      const args = { mode, minutes };
      problem.textContent = "";
      if (mode === "hand") {
        [args.valve_pct, args.pump_pct] = [valve.read(), pumps.read()].map((v) => (v === null ? null : Math.round(v)));
        if (args.valve_pct === null || args.pump_pct === null) { problem.textContent = t("a number from", { low: 0, high: 100, unit: "%" }); return; }
      }
      Dialogs.act("mode", args, t("confirm.mode." + (mode === "hand" ? "hand" : "other"), { mode: t("mode." + mode), minutes, valve: args.valve_pct, pump: args.pump_pct }));
    }, "");
    const element = card("operating mode", make("p", {}, t("mode now") + " ", make("b", { id: "modenow" })),
      choice("mode", MODES, mode, (m) => t("mode." + m), (m) => { mode = m; reflect(); }), hint, hand,
      choice("ends after", TIMES, minutes, (m) => Format.duration(60 * m), (m) => { minutes = m; }), problem,
      make("div", { className: "row" }, guard(start, "override"), guard(plainButton(t("release"), () => Dialogs.act("release", {}, t("release"))), "release")), ...barred("override", "release"));
    reflect();
    return element;
  }
  function setpointCard() {
    const keys = Object.keys(state.setpoints);
    if (!keys.length) return [];
    return [card("set-points", ...keys.map((key) => {
      const limits = state.setpoints[key], unit = Format.unitText(Format.unitOf(key)), title = Format.pointTitle(key);
      const field = stepper(title, limits.configured ?? limits.low, limits.low, limits.high, unit === "kPa" ? 5 : 0.5, unit), problem = make("p", { className: "problem", role: "alert" });
      const change = plainButton(t("change"), () => {
        const value = field.read();
        problem.textContent = "";
        if (value === null) { problem.textContent = t("a number from", { low: limits.low, high: limits.high, unit }); field.input.focus(); return; }
        Dialogs.act("setpoint", { key, value, from: limits.configured }, t("confirm.setpoint", { what: title, value, unit, from: limits.configured }));
      }, "");
      change.ariaLabel = t("change") + ": " + title;
      change.disabled = !limits.writable;
      return make("div", { className: "setpoint" }, make("b", { textContent: title }), make("p", { className: "hint", textContent: t("from to", { low: limits.low, high: limits.high, unit }) + (limits.step ? " · " + t("step", { step: limits.step, unit }) : "") + (limits.writable ? "" : " · " + t("not writable")) }), field, problem, change);
    }))];
  }
  function trialCard() {
    if (!onTrial()) return [];
    const { counter, key, value } = state.trial || { counter: state.details.remote.trial };
    const what = key ? t("trial.value", { what: Format.pointTitle(key), value, unit: Format.unitText(Format.unitOf(key)) }) : t("trial.unknown");
    const by = make("p", { className: "dim", id: "trialuser" }), undo = plainButton(t("roll back"), () => Dialogs.act("rollback", { counter }, t("roll back") + ": " + what));
    const show = (found) => { if (found.counter === counter) by.textContent = t(found.user ? "trial.user" : found.protocol ? "trial.server" : "trial.operators", found); };
    if (Link.session) Link.get("trial").then(show, () => {}); // without a session names are not shown
    return [card("change on trial", make("p", {}, make("b", { textContent: what })), by, make("p", { className: "hint", textContent: t("change on trial.hint") }), make("div", { className: "row" }, undo))];
  }
  function testCard() {
    const row = (key, action, args) => make("div", { className: "setpoint" }, make("b", { textContent: t(key) }), make("p", { className: "hint", textContent: t(key + ".hint") }), guard(plainButton(t("start test"), () => Dialogs.act(action, args, t("confirm." + key)), ""), action), ...barred(action));
    const rows = [row("proof.valve", "proof", { what: "valve" }), row("proof.pumps", "proof", { what: "pumps" }), row("rotate", "rotate", {})];
    rows.forEach((r) => { r.querySelector("button").ariaLabel = t("start test") + ": " + r.querySelector("b").textContent; });
    return card("tests", ...rows, make("div", { id: "proofs" }));
  }
  function build() {
    const signHint = state.can_sign_in ? [] : [make("p", { className: "card quiet", textContent: t("read only") })];
    const actions = state.can_sign_in ? [...trialCard(), modeCard(), ...setpointCard(), testCard()] : [];
    id("control").replaceChildren(...signHint, make("div", { className: "grid" },
      card("who controls", make("table", {}, make("thead", {}, make("tr", {}, ...["actuator", "holder", "rank", "output"].map((key) => make("th", { textContent: t(key), scope: "col" })))), make("tbody", { id: "holders" })), make("p", { className: "hint", textContent: t("who controls.hint") })),
      ...actions, card("my actions", make("ul", { id: "myactions" }))));
  }
  function showHolders() {
    Dom.refill(id("holders"), [state.actuators, Texts.language], () => state.actuators.map(([name, holder, rank, output, reason]) => make("tr", {},
      make("th", { scope: "row", textContent: Format.word("actuator.", name) }), make("td", {}, Format.word("holder.", holder || "–"), ...(reason && reason !== holder ? [make("small", { className: "dim reason", textContent: reason })] : [])), make("td", { textContent: Format.rank(rank) }), make("td", { className: "number", textContent: known(output) ? output.toFixed(0) + " %" : "–" }))));
  }
  function showLog() {
    if (!id("myactions")) return;
    const line = (e) => make("li", { textContent: e.text + ": " + t("result." + e.state) + (e.reason ? " (" + e.reason + ")" : "") });
    id("myactions").replaceChildren(...(Dialogs.log.length ? Dialogs.log.map(line) : [make("li", { className: "dim", textContent: t("no actions") })]));
  }
  function update(next) {
    state = next;
    const wanted = JSON.stringify([Texts.language, state.can_sign_in, state.details.commands, onTrial() && [state.trial, (Link.session || {}).user], state.setpoints, Object.keys(Format.catalogue.points).length]);
    if (wanted !== built && !(built && state.stale)) { built = wanted; build(); showLog(); }
    showHolders();
    const cooling = state.details.cooling || {}, now = state.details.mode ?? cooling.mode;
    if (id("modenow")) id("modenow").textContent = now ? Format.word("mode.", now) : t("unknown");
    const proofs = state.details.proofs ?? cooling.kept;
    if (id("proofs")) Dom.refill(id("proofs"), [proofs, Texts.language], () => (proofs ? [make("h2", { textContent: t("last proofs") }), ...Unit.tree(proofs)] : []));
  }
  Dialogs.onLog(showLog);
  return { update };
})();

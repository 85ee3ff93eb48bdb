// SPDX-License-Identifier: Apache-2.0
"use strict";
// Alarms by ISA-18.2: four lists by state, the worst first, and a dialog that says what to do.
const Alarms = (() => {
  const { id, make, refill } = Dom, t = Texts.text;
  const STATES = ["active_unacknowledged", "active_acknowledged", "cleared_unacknowledged", "shelved"];
  const SHELVE_MINUTES = [60, 240, 480], REASONS = ["work", "known", "nuisance"];
  let state = null, open = null;

  const order = (a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || a.priority - b.priority || String(b.raised).localeCompare(String(a.raised));
  const sorted = (next) => [...next.alarms].sort(order);
  const badge = (item) => make("span", { className: "badge p" + item.priority, textContent: item.priority, title: t("priority." + item.priority) });
  function button(item) {
    const texts = Format.alarm(item), unacknowledged = item.state.endsWith("unacknowledged");
    const classes = ["alarm", unacknowledged ? "unacknowledged" : "", item.active ? "active" : ""].filter(Boolean).join(" ");
    const element = make("button", { className: classes, type: "button" }, badge(item),
      make("span", { className: "what" }, make("b", { textContent: texts.title }), make("small", { textContent: [item.id, t("alarmstate." + item.state)].join(" · ") })),
      make("time", { textContent: Format.duration(item.raised_ago_s) }));
    element.dataset.focus = "alarm " + item.id;
    element.onclick = () => show(item.id);
    return element;
  }
  // The time is shown in steps, so that the element changes seldom.
  const contentKey = (list) => [Texts.language, Object.keys(Format.catalogue.alarms).length, list.map((a) => [a.id, a.state, a.text, a.priority, a.raised_ago_s < 100 ? Math.floor(a.raised_ago_s / 10) : Format.duration(a.raised_ago_s)])];

  function showLists(next) {
    refill(id("alarmlists"), contentKey(sorted(next)), () => {
      const sections = STATES.map((name) => [name, sorted(next).filter((a) => a.state === name)]).filter(([, list]) => list.length);
      if (!sections.length) return [make("p", { className: "card quiet", textContent: t(next.stale ? "alarms unknown" : "no alarms") })];
      return sections.map(([name, list]) => make("section", {}, make("h2", { textContent: t("alarmstate." + name) + " (" + list.length + ")" }), make("div", { className: "list" }, ...list.map((a) => button(a)))));
    });
  }
  function showTop(next, place, count) {
    const list = sorted(next).filter((a) => a.state !== "shelved").slice(0, count);
    const more = next.alarms.length - list.length;
    refill(place, [contentKey(list), more, next.stale], () => {
      const items = list.map((a) => button(a));
      if (more > 0) items.push(make("a", { href: "#alarms", textContent: t("more alarms", { n: more }), className: "quiet" }));
      return items.length ? items : [make("p", { className: "card quiet", textContent: t(next.stale ? "alarms unknown" : "no alarms") })];
    });
  }
  function showCount(next) {
    const active = next.alarms.filter((a) => a.state !== "shelved").length, place = id("alarmcount");
    place.hidden = !active;
    place.textContent = active;
    place.ariaLabel = t("n alarms", { n: active });
  }
  let heard = null;
  function announce(next) { // for a screen reader: alarms that are new since the last state
    const now = new Map(next.alarms.filter((a) => a.active).map((a) => [a.id, a]));
    const fresh = heard ? [...now.values()].filter((a) => !heard.has(a.id)) : [];
    if (fresh.length) id("news").textContent = fresh.map((a) => t("new alarm", { text: Format.alarm(a).title, n: a.priority })).join(". ");
    heard = new Set(now.keys());
  }

  const part = (title, text) => (text ? [make("h3", { textContent: t(title) }), make("p", { textContent: text })] : []);
  function fill(item) {
    const texts = Format.alarm(item), dialog = id("alarmdialog");
    const close = make("button", { className: "plain", textContent: t("close") });
    close.onclick = () => dialog.close();
    const buttons = state.can_sign_in ? actionButtons(item, texts) : [];
    dialog.firstElementChild.replaceChildren(
      make("h2", { id: "alarmtitle" }, badge(item), make("span", { textContent: texts.title })),
      make("p", { className: "dim", textContent: [item.id, item.number ? t("number", { n: item.number }) : "", t("priority." + item.priority), t("alarmstate." + item.state)].filter(Boolean).join(" · ") }),
      make("h3", { textContent: t("what to do") }), make("p", { className: "todo", textContent: texts.todo || "–" }),
      ...part("respond", texts.respond && t("within", { time: texts.respond })),
      ...part("message", texts.text === texts.title ? "" : texts.text), ...part("means", texts.means === texts.title ? "" : texts.means), ...part("consequence", texts.consequence), ...part("cause", texts.cause),
      ...part("times", [t("raised", { time: Format.utc(item.raised), ago: Format.duration(item.raised_ago_s) }), item.cleared ? t("cleared", { time: Format.utc(item.cleared) }) : "", item.shelved_s ? t("shelved for", { time: Format.duration(item.shelved_s) }) : ""].filter(Boolean).join(" · ")),
      ...(state.can_sign_in ? [] : [make("p", { className: "hint", textContent: t("read only") })]),
      make("div", { className: "row" }, ...buttons, close), ...(buttons.length ? shelving(item) : []),
    );
  }
  function actionButtons(item, texts) {
    const make1 = (key, action, className) => {
      if (Array.isArray(state.details.commands) && !state.details.commands.includes(action)) return "";
      const element = make("button", { textContent: t(key), className, type: "button" });
      element.onclick = async () => { if (await Dialogs.act(action, { code: item.id }, t(key) + ": " + texts.title)) id("alarmdialog").close(); };
      return element;
    };
    const list = [];
    if (item.state.endsWith("unacknowledged")) list.push(make1("acknowledge", "acknowledge", ""));
    if (item.state === "shelved") list.push(make1("unshelve", "unshelve", ""));
    if (texts.latched) list.push(make1("reset", "reset", "bad"));
    return list.length ? list : item.priority > 1 ? [""] : [];
  }
  function shelving(item) { // never for priority 1
    if (Array.isArray(state.details.commands) && !state.details.commands.includes("shelve")) return [];
    if (item.priority === 1 || item.state === "shelved" || !item.active) return [];
    const time = make("select", { ariaLabel: t("time") }, ...SHELVE_MINUTES.filter((m) => m <= 60 * Format.catalogue.max_shelve_hours).map((m) => make("option", { value: m, textContent: t("n h", { n: m / 60 }) })));
    const reason = make("select", { ariaLabel: t("reason") }, ...REASONS.map((r) => make("option", { value: r, textContent: t("reason." + r) })));
    const go = make("button", { className: "plain", textContent: t("shelve"), type: "button" });
    go.onclick = async () => {
      if (await Dialogs.act("shelve", { code: item.id, minutes: Number(time.value), reason: reason.value }, t("shelve") + ": " + Format.alarm(item).title)) id("alarmdialog").close();
    };
    return [make("details", { className: "shelving" }, make("summary", { textContent: t("shelve for") }), make("div", { className: "row" }, time, reason, go))];
  }
  function show(name) {
    const item = state.alarms.find((a) => a.id === name);
    if (!item) return;
    open = JSON.stringify([name, item.state]);
    fill(item);
    id("alarmdialog").showModal();
    (id("alarmdialog").querySelector("button") || id("alarmdialog")).focus();
  }
  function update(next) {
    state = next;
    showLists(next);
    showTop(next, id("topalarms"), innerHeight < 520 ? 2 : 4);
    showCount(next);
    announce(next);
    if (!id("alarmdialog").open || !open) return;
    const item = next.alarms.find((a) => a.id === JSON.parse(open)[0]);
    if (!item) { id("alarmdialog").close(); Dialogs.toast(t("alarm gone")); }
    else if (JSON.stringify([item.id, item.state]) !== open) { open = JSON.stringify([item.id, item.state]); fill(item); }
  }
  return { update };
})();

// SPDX-License-Identifier: Apache-2.0
"use strict";
// A keyboard on the screen, for a cabinet without one. It types into the field that had the focus.
const Keyboard = (() => {
  const LETTERS = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"], SIGNS = ["!@#$%^&*()", "-_=+[]{}", ";:'\",.<>/", "?\\|`~"];
  let target = null, upper = false, signs = false, place = null;
  const { make } = Dom, t = Texts.text;
  function type(change) {
    if (!target) return;
    target.value = change(target.value).slice(0, target.maxLength > 0 ? target.maxLength : 128);
  }
  function key(text, label, action) {
    const button = make("button", { type: "button", textContent: text, ariaLabel: label, tabIndex: -1 });
    button.onpointerdown = (event) => event.preventDefault(); // the field keeps the focus
    button.onclick = action;
    return button;
  }
  function draw() {
    const rows = (signs ? SIGNS : LETTERS).map((row) => [...row].map((c) => (upper ? c.toUpperCase() : c)));
    place.replaceChildren(
      ...rows.map((row) => make("div", {}, ...row.map((c) => key(c, c, () => type((v) => v + c))))),
      make("div", {},
        key("⇧", t("shift"), () => { upper = !upper; draw(); }), key(signs ? "abc" : "#+=", t("signs"), () => { signs = !signs; draw(); }),
        key("␣", t("space"), () => type((v) => v + " ")), key("⌫", t("delete"), () => type((v) => v.slice(0, -1))),
        key("⇥", t("next field"), () => { const next = [...place.closest("form").querySelectorAll("input")].find((e) => e !== target); if (next) next.focus(); })),
    );
  }
  function attach(form, keys) {
    place = keys;
    form.addEventListener("focusin", (event) => { if (event.target.tagName === "INPUT") target = event.target; });
    draw();
  }
  return { attach, redraw: () => place && draw() };
})();

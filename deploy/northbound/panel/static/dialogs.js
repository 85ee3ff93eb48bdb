// SPDX-License-Identifier: Apache-2.0
"use strict";
// Sign-in, second confirmation, and the result of an action.
const Dialogs = (() => {
  const { id, make } = Dom, t = Texts.text;
  const REASONS = { session: "refused.session", role: "refused.role", password: "refused.password", expired: "refused.expired", confirm: "refused.expired", changed: "refused.changed" };
  const reasonText = (error) => (REASONS[error.message] ? t(REASONS[error.message]) : error instanceof Link.Refused ? t("refused", { reason: error.message }) : t("no connection"));
  let toastTimer = null;
  function toast(text) {
    id("toast").textContent = text;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => { id("toast").textContent = ""; }, 8000);
  }

  // Sign-in. Resolves to true when there is a session that may act.
  let finishLogin = null;
  const loginForm = id("logindialog").querySelector("form"), loginProblem = loginForm.querySelector(".problem");
  const { user: userField, password: passwordField } = loginForm.elements;
  const userLabel = userField.closest("label");
  function showLoginStep(mustChange) {
    userLabel.hidden = mustChange;
    passwordField.value = "";
    passwordField.autocomplete = mustChange ? "new-password" : "current-password";
    loginForm.querySelector("h2").textContent = t(mustChange ? "new password" : "sign in");
    (mustChange ? passwordField : userField).focus();
  }
  function signIn() {
    if (Link.session && !Link.session.must_change) return Promise.resolve(true);
    loginProblem.textContent = "";
    id("logindialog").showModal();
    showLoginStep(Boolean(Link.session));
    return new Promise((resolve) => { finishLogin = resolve; });
  }
  loginForm.onsubmit = async (event) => {
    event.preventDefault();
    loginProblem.textContent = "";
    const submit = loginForm.querySelector("button[value=yes]");
    submit.disabled = true;
    try {
      if (Link.session) await Link.changePassword(passwordField.value);
      else await Link.signIn(userField.value, passwordField.value);
      if (Link.session.must_change) { showLoginStep(true); loginProblem.textContent = t("refused.password"); }
      else closeLogin(true);
    } catch (error) {
      loginProblem.textContent = error.status === 401 ? t(error.retryS ? "locked" : "wrong login", { n: error.retryS }) : reasonText(error);
      passwordField.value = "";
      passwordField.focus();
    } finally { submit.disabled = false; }
  };
  function closeLogin(done) {
    loginForm.reset();
    id("logindialog").close();
    if (finishLogin) finishLogin(done);
    finishLogin = null;
  }
  loginForm.querySelector("[data-close]").onclick = () => closeLogin(false);
  id("logindialog").oncancel = (event) => { event.preventDefault(); closeLogin(false); };
  id("showkeys").onclick = () => {
    id("keys").hidden = !id("keys").hidden;
    id("showkeys").ariaExpanded = String(!id("keys").hidden);
    (userLabel.hidden || userField.value ? passwordField : userField).focus();
  };

  // Second confirmation with the text of what will happen and the time that is left.
  function confirm(text, seconds) {
    const dialog = id("confirmdialog"), yes = make("button", { textContent: t("confirm") }), no = make("button", { className: "plain", textContent: t("cancel") });
    const count = make("p", { className: "count dim" }), end = performance.now() + 1000 * seconds;
    dialog.firstElementChild.replaceChildren(make("h2", { id: "confirmtitle", textContent: t("confirm title") }), make("p", { className: "todo", textContent: text }), count, make("div", { className: "row" }, yes, no));
    dialog.showModal();
    no.focus();
    return new Promise((resolve) => {
      const finish = (answer) => { clearInterval(timer); dialog.close(); resolve(answer); };
      const tick = () => { const left = Math.ceil((end - performance.now()) / 1000); count.textContent = t("seconds left", { n: left }); if (left <= 0) finish(false); };
      const timer = setInterval(tick, 250);
      tick();
      yes.onclick = () => finish(true);
      no.onclick = () => finish(false);
      dialog.oncancel = (event) => { event.preventDefault(); finish(false); };
    });
  }

  const log = []; // actions of this page: [text, state, reason], the newest first
  const listeners = [];
  async function follow(entry, submission) {
    for (let n = 0; n < 600 && ["pending", "trial"].includes(entry.state); n++) {
      await new Promise((resolve) => setTimeout(resolve, n < 20 ? 500 : 2000));
      try { Object.assign(entry, await Link.get("result/" + encodeURIComponent(submission))); } catch (error) {
        if (error.message === "401") entry.state = "unknown"; // signed out: the result is not for this page any more
      } // else the server may be back later
      listeners.forEach((call) => call());
    }
    toast(entry.text + ": " + t("result." + entry.state) + (entry.reason ? " (" + entry.reason + ")" : ""));
  }
  // Signs in if necessary, confirms if the server wants it, submits, and follows the result.
  async function act(action, args, text) {
    try {
      if (!await signIn()) return false;
      let fields = { action, arguments: args };
      if ((Format.catalogue.actions[action] || { confirmed: true }).confirmed) {
        const { code, valid_s: seconds } = await Link.post("prepare", fields);
        if (!await confirm(text, seconds)) return false;
        fields = { code };
      }
      const { id: submission } = await Link.post("act", fields);
      const entry = { text, state: "pending", reason: "" };
      log.unshift(entry);
      log.length = Math.min(log.length, 8);
      listeners.forEach((call) => call());
      toast(text + ": " + t("result.pending"));
      follow(entry, submission);
      return true;
    } catch (error) {
      toast(text + ": " + reasonText(error));
      return false;
    }
  }
  return { signIn, act, toast, log, onLog: (call) => listeners.push(call) };
})();

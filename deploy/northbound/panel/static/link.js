// SPDX-License-Identifier: Apache-2.0
"use strict";
// The connection to the server: state by events or by polling, actions, the session of a person.
// The token of the session is in this closure only. A reload of the page ends the access.
const Link = (() => {
  const POLL_MS = 1000, LOST_MS = 4000, RETRY_MS = 15_000, IDLE_MS = 600_000;
  const listeners = { state: [], session: [], lost: [] };
  let session = null, source = null, timer = null, lastAt = performance.now(), lost = false, activeAt = Date.now();
  const tell = (name, value) => listeners[name].forEach((call) => call(value));

  async function get(path) {
    const reply = await fetch("/panel/api/" + path, { cache: "no-store", headers: session ? { "X-Auth-Token": session.token } : {} });
    if (!reply.ok) throw new Error(String(reply.status));
    return reply.json();
  }
  class Refused extends Error {
    constructor(status, body) { super(body.error || String(status)); this.status = status; this.retryS = body.retry_s || 0; }
  }
  async function post(path, fields) {
    const headers = { "Content-Type": "application/json", "X-Coldloop": "1" };
    if (session) headers["X-Auth-Token"] = session.token;
    const reply = await fetch("/panel/api/" + path, { method: "POST", headers, body: JSON.stringify(fields) });
    const body = await reply.json().catch(() => ({}));
    if (reply.ok) return body;
    if (reply.status === 401 && path !== "login" && session) setSession(null);
    throw new Refused(reply.status, body);
  }

  function received(state) {
    lastAt = performance.now();
    setLost(false);
    tell("state", state);
  }
  function setLost(next) { if (next !== lost) { lost = next; tell("lost", lost); } }
  async function poll() {
    try { received(await get("state")); } catch { /* `watch` shows it */ }
    if (!source) timer = setTimeout(poll, POLL_MS);
  }
  function connect() {
    clearTimeout(timer);
    source = new EventSource("/panel/events");
    source.onmessage = (event) => received(JSON.parse(event.data));
    source.onerror = () => { // all streams are taken, or the server is away: poll, and try again later
      if (!source) return;
      source.close();
      source = null;
      poll();
      setTimeout(connect, RETRY_MS);
    };
  }
  function watch() {
    if (performance.now() - lastAt > LOST_MS) setLost(true);
    if (session && Date.now() - activeAt > IDLE_MS) signOut();
  }

  function setSession(next) { session = next; tell("session", session); }
  async function signIn(user, password) { setSession(await post("login", { user, password })); activeAt = Date.now(); }
  async function signOut() { try { await post("logout", {}); } catch { /* it ends by itself */ } setSession(null); }
  async function changePassword(password) { setSession(await post("password", { password })); }
  // A page that closes or is loaded again ends its session; a page that the browser keeps must sign in again.
  addEventListener("pagehide", () => {
    if (!session) return;
    fetch("/panel/api/logout", { method: "POST", keepalive: true, headers: { "Content-Type": "application/json", "X-Coldloop": "1", "X-Auth-Token": session.token }, body: "{}" }).catch(() => { /* it ends by itself */ });
    setSession(null);
  });
  for (const name of ["pointerdown", "keydown"]) addEventListener(name, () => { activeAt = Date.now(); }, { passive: true });

  return {
    get, post, signIn, signOut, changePassword, Refused,
    start: () => { poll(); connect(); setInterval(watch, 1000); },
    on: (name, call) => listeners[name].push(call),
    get session() { return session; },
  };
})();

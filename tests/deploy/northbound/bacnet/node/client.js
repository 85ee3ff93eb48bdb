// SPDX-License-Identifier: Apache-2.0
// A BACnet client for tests, on node-bacnet: one JSON command a line on stdin, one JSON answer a
// line on stdout. Notifications are lines with the key "event". Usage: client.js PORT SERVER_PORT
"use strict";
const Bacnet = require(process.env.NODE_BACNET);
const [port, serverPort] = process.argv.slice(2).map(Number);
const client = new Bacnet({ port, interface: "127.0.0.1", apduTimeout: 5000 });
const server = { address: `127.0.0.1:${serverPort}` };
const say = (value) => process.stdout.write(
  JSON.stringify(value, (_k, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v)) + "\n",
);
const reply = (error, value) => say(error ? { error: String(error.message || error) } : { value: value ?? null });
// node-bacnet 0.2.4 encodes months from 0; the unit has no December in these tests.
const date = (at) => { const d = new Date(at); d.setMonth(d.getMonth() + 1); return d; };
const id = ([type, instance]) => ({ type, instance });
const commands = {
  read: (c) => client.readProperty(server, id(c.object), c.property, reply),
  many: (c) => client.readPropertyMultiple(
    server,
    c.objects.map((o) => ({ objectId: id(o), properties: c.properties.map((p) => ({ id: p })) })),
    reply,
  ),
  write: (c) => client.writeProperty(server, id(c.object), c.property, [{ type: c.type, value: c.value }], { priority: c.priority || 16 }, reply),
  range: (c) => client.readRange(server, id(c.object), c.first, c.count, {}, (e, v) => reply(e, v && { ...v, rangeBuffer: v.rangeBuffer && [...v.rangeBuffer] })),
  acknowledge: (c) => client.acknowledgeAlarm(
    server, id(c.object), c.state, "operator",
    { type: 2, value: date(c.at) }, { type: 2, value: new Date() }, {}, reply,
  ),
  cov: (c) => client.subscribeCov(server, id(c.object), c.process || 7, false, false, c.lifetime, {}, reply),
  control: (c) => client.deviceCommunicationControl(server, 60, 1, {}, reply),
  reinitialize: (c) => client.reinitializeDevice(server, 0, {}, reply),
  whois: () => { client.whoIs(server); say({ value: null }); },
};
for (const name of ["iAm", "covNotifyUnconfirmed", "covNotify", "eventNotify"]) {
  client.on(name, (message) => {
    say({ event: name, ...message.payload });
    if (name === "covNotify") client.simpleAckResponse(message.header.sender, message.service, message.invokeId);
  });
}
client.on("error", () => {});
require("readline").createInterface({ input: process.stdin })
  .on("line", (line) => { const c = JSON.parse(line); commands[c.do](c); })
  .on("close", () => process.exit(0));

// The phone as gateway: connect a strap, show its trace, send it to the ward, and report a symptom by a button.

import { Strap } from "./h10.js";
import { Sender } from "./sender.js";
import { Spool } from "./spool.js";
import { Timeline } from "./timeline.js";
import { Trace } from "./trace.js";

const $ = (id) => document.getElementById(id);
const AGAIN_MS = 3000;
const show = (id, on) => {
  $(id).hidden = !on;
};
const say = (text) => {
  $("state").textContent = text;
};
let token = "",
  sender = null,
  spool = null,
  wakeLock = null,
  sending = false,
  stopped = false,
  battery = null,
  contact = null;

const trace = new Trace($("trace"));
const timeline = new Timeline(take);
let strap = null;

function missing() {
  if (!isSecureContext)
    return "This page needs HTTPS: ask whoever runs the ward for its https:// address.";
  if (!navigator.bluetooth)
    return "This browser has no Web Bluetooth. Use Chrome or Edge on Android, Windows, macOS or Linux; Safari, Firefox and all browsers on an iPhone cannot do it.";
  return "";
}

function tokenAtHand() {
  const given = decodeURIComponent(location.hash.slice(1));
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname); // keep the token out of the history and out of sight
  }
  return sessionStorage.getItem("token") ?? "";
}

async function begin() {
  const needs = missing();
  show("needs", Boolean(needs));
  $("needs").textContent = needs;
  if (needs) return;
  token = tokenAtHand();
  show("token-form", !token);
  if (!token) return;
  show("strap", true);
  spool = await new Spool().open();
  sender = new Sender(spool, token);
  sender.addEventListener("state", ({ detail }) => say(detail));
  sender.addEventListener("acknowledged", waiting);
  sender.addEventListener("refused", ({ detail }) => {
    if (detail.stream === timeline.stream) timeline.restart();
  });
  waiting();
  await wearer();
}

/** Show the device's wearer as the ward has registered it. */
async function wearer() {
  const answer = await fetch("/api/ingest/v1/device", {
    headers: { Authorization: `Bearer ${token}` },
  }).catch(() => null);
  if (!answer)
    return say("The ward does not answer. You may connect the strap; samples are kept here.");
  if (answer.status === 401) {
    sessionStorage.removeItem("token");
    show("token-form", true);
    return say("The ward does not know this token.");
  }
  const { device, worn_by: worn } = await answer.json();
  const who = worn && [worn.bed && `bed ${worn.bed}`, worn.name].filter(Boolean).join(", ");
  $("wearer").textContent = worn
    ? `Device ${device}, worn by ${who || "an admitted patient"}.`
    : `Device ${device} is worn by nobody yet: somebody must assign it on the ward page.`;
}

function take(chunk) {
  trace.push(chunk.samples);
  $("signal").textContent =
    contact === false ? "no contact: wet the strap, press it on" : trace.quality;
  if (!sending) return;
  spool.put({ ...chunk, leadOff: contact === false, battery }).then(() => {
    waiting();
    sender.pump();
  });
}

function waiting() {
  $("spool").textContent =
    `${Math.round(spool.count / 2)} s${spool.lost ? `, ${Math.round(spool.lost / 2)} s lost` : ""}`;
}

async function connect() {
  $("connect").disabled = true;
  stopped = false;
  strap = new Strap();
  strap.addEventListener("frame", ({ detail }) => timeline.push(detail));
  strap.addEventListener("rate", ({ detail }) => {
    contact = detail.contact;
    $("rate").textContent = `${detail.bpm}/min`;
  });
  strap.addEventListener("battery", ({ detail }) => {
    battery = detail;
    $("battery").textContent = `${Math.round(detail * 100)} %`;
  });
  strap.addEventListener("problem", ({ detail }) => say(detail));
  strap.addEventListener("lost", reconnect);
  try {
    say(`Connecting ${await strap.choose()} …`);
    await strap.connect();
    say("Connected. The first ECG can take half a minute. Look at the trace, then send it.");
    show("join", true);
    show("stop", true);
    show("connect", false);
    await stayAwake();
  } catch (error) {
    say(
      error.name === "NotFoundError"
        ? "No strap was chosen. Is it on, and not connected to another app?"
        : error.message,
    );
  }
  $("connect").disabled = false;
}

async function reconnect() {
  while (!stopped) {
    say("The strap is out of reach. Trying again …");
    try {
      await strap.connect();
      return say(sending ? "Sending to the ward." : "Connected again.");
    } catch {
      await new Promise((resolve) => {
        setTimeout(resolve, AGAIN_MS);
      });
    }
  }
}

function join() {
  sending = true;
  timeline.restart();
  show("join", false);
  show("event-form", true);
  say("Sending to the ward.");
  sender.start();
}

async function stop() {
  stopped = true;
  timeline.flush();
  sending = false;
  await strap.stop();
  wakeLock?.release();
  show("connect", true);
  for (const id of ["join", "stop", "event-form"]) show(id, false);
  say("Stopped. What waits here is sent while this page is open.");
}

async function event(kind, text) {
  const body = { id: crypto.randomUUID(), time_ns: 0, kind, text };
  const json = JSON.stringify(body).replace(
    '"time_ns":0',
    `"time_ns":${BigInt(Date.now()) * 1_000_000n}`,
  ); // beyond what a number holds
  const answer = await fetch("/api/ingest/v1/events", {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: json,
  }).catch(() => null);
  if (answer?.ok) return say(kind === "symptom" ? "The ward knows." : "Note sent.");
  const problem = answer ? (await answer.json().catch(() => ({}))).problem : "no connection";
  return say(`Not sent: ${problem}. Press again.`);
}

async function stayAwake() {
  try {
    wakeLock = await navigator.wakeLock?.request("screen");
  } catch {
    say("Keep the screen on yourself: this browser does not let the page do it.");
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && strap && !stopped) stayAwake();
});
addEventListener("pagehide", () => strap?.stop());
$("connect").addEventListener("click", connect);
$("join").addEventListener("click", join);
$("stop").addEventListener("click", stop);
$("symptom").addEventListener("click", () => event("symptom", $("note").value));
$("event-form").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  event("note", $("note").value).then(() => {
    $("note").value = "";
  });
});
$("token-form").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  location.hash = encodeURIComponent($("token").value.trim());
  begin();
});
begin();

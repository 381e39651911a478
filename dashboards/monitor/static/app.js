// The page: which view is open, the link to the server, the head of the page, and the clock that drives all drawing.

import { h, setText } from "./dom.js";
import { Link } from "./link.js";
import { Model, now } from "./model.js";
import { PatientView } from "./patient.js";
import { PAGE, Ward } from "./ward.js";
import { alarmText, mark, time } from "./words.js";

const REFRESH_MS = 250;
const $ = (id) => document.getElementById(id);
const model = new Model();
const state = { ward: null, offset: 0, total: 0, search: "", revision: -1, serverAhead: 0, lastFocus: null, commands: [] };
let view = null;
let asked = 0;

const link = new Link({
  frame: (buffer) => model.frame(buffer),
  message: take,
  connected: (yes) => { if (!yes) { state.revision = -1; } refresh(); },
});

function take(message) {
  if (message.type === "hello") {
    state.commands = message.commands;
    model.reconnected();
  }
  else if (message.type === "patient") model.take(message);
  else if (message.type === "events") model.events(message.events);
  else if (message.type === "ward") takeWard(message);
}

function takeWard(ward) {
  state.ward = ward;
  state.serverAhead = ward.now - Date.now();
  if (view instanceof Ward && ward.revision !== state.revision) loadPage();
}

/** Fetch the names on this page of the ward, and watch them. */
async function loadPage() {
  const mine = ++asked;
  const revision = state.ward?.revision ?? -1;
  try {
    const answer = await fetch(`/api/patients?offset=${state.offset}&limit=${PAGE}&search=${encodeURIComponent(state.search)}`);
    const page = await answer.json();
    if (mine !== asked || !(view instanceof Ward)) return;
    state.revision = revision;
    state.total = page.total;
    if (state.offset && state.offset >= page.total) { turn(0); return; }
    showPage(page.patients.map((p) => p.id));
  } catch { /* the link is down and says so; the next sign of life asks again */ }
}

function showPage(ids) {
  model.show(ids);
  link.watch(ids);
  view.show(ids, state.search ? h("p", {}, `No patient's name has “${state.search}” in it.`) : emptyWard());
  if (state.lastFocus) { view.tiles.get(state.lastFocus)?.element.focus(); state.lastFocus = null; }
  const last = Math.min(state.offset + PAGE, state.total);
  $("pager").hidden = state.total <= PAGE;
  setText($("where"), `${state.offset + 1}–${last} of ${state.total}`);
  $("previous").disabled = state.offset === 0;
  $("next").disabled = last >= state.total;
}

function emptyWard() {
  const command = (text) => {
    const button = h("button", {}, "Copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch { // only allowed on this machine or over https
        getSelection().selectAllChildren(button.previousSibling);
        button.textContent = "Selected";
      }
    });
    return h("div", { class: "command" }, h("code", {}, text), button);
  };
  return h("div", { class: "empty" }, h("h1", {}, "No patient yet"), h("p", {}, "A patient appears here as soon as its samples arrive. To send some:"),
    ...state.commands.map(command));
}

function turn(offset) {
  state.offset = Math.max(0, offset);
  loadPage();
}

function open() {
  view?.close();
  const id = new URLSearchParams(location.search).get("id");
  document.body.dataset.view = location.pathname === "/patient" && id ? "patient" : "ward";
  if (document.body.dataset.view === "patient") {
    document.title = `${id} · ecgwatch`;
    model.show([id]);
    link.watch([id]);
    view = new PatientView($("view"), model.get(id), { back: () => go("/") });
    $("pager").hidden = true;
    setText($("hint"), "Esc: ward   1–5: gain");
    $("view").focus();
  } else {
    document.title = "Ward · ecgwatch";
    view = new Ward($("view"), { model, open: (id) => { state.lastFocus = id; go(`/patient?id=${encodeURIComponent(id)}`); } });
    state.revision = -1;
    setText($("hint"), "Arrows: choose   Enter: open   /: find");
    if (state.ward) loadPage();
  }
  refresh();
}

function go(url) {
  history.pushState(null, "", url);
  open();
}

/** Words and numbers; the traces move by themselves. */
function refresh() {
  const { ward } = state;
  setText($("clock"), time(Date.now() + state.serverAhead));
  setText($("count"), ward ? `${ward.patients} ${ward.patients === 1 ? "patient" : "patients"}` : "");
  if (ward) { chips(ward.alarms); elsewhere(ward.worst); }
  const problem = !link.connected ? (ward ? "No connection to the monitor's server: what is shown is old. Trying again …" : "Connecting to the monitor's server …")
    : ward && !ward.broker ? "The monitor cannot reach the Kafka broker: nothing new arrives. Trying again …" : "";
  $("banner").hidden = !problem;
  setText($("banner"), problem);
  document.body.classList.toggle("lost", !link.connected);
  view?.refresh(link.connected, Date.now() + state.serverAhead);
}

function chips(counts) {
  const marks = { high: "***", medium: "**", low: "*", technical: "technical" };
  const texts = Object.keys(marks).filter((level) => counts[level]).map((level) => [level, `${marks[level]} ${counts[level]}`]);
  const key = texts.join();
  if (key === $("chips").dataset.key) return;
  $("chips").dataset.key = key;
  $("chips").replaceChildren(...texts.map(([level, text]) => h("span", { class: "chip", "data-level": level }, text)));
}

/** The worst alarm among the patients that this page does not show. */
function elsewhere(worst) {
  const hidden = worst.find((alarm) => !alarm.technical && !model.get(alarm.patient));
  $("elsewhere").hidden = !hidden;
  if (!hidden) return;
  $("elsewhere").dataset.level = hidden.priority;
  $("elsewhere").href = `/patient?id=${encodeURIComponent(hidden.patient)}`;
  setText($("elsewhere"), `${mark(hidden)} ${hidden.patient}: ${alarmText(hidden)}`);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === $("search")) {
    if (event.key === "Escape") { $("search").value = ""; find(); $("search").blur(); }
    return;
  }
  if (event.key === "/") { $("search").focus(); event.preventDefault(); return; }
  if (view?.key(event)) event.preventDefault();
}

function find() {
  state.search = $("search").value.trim();
  if (!(view instanceof Ward)) go("/");
  turn(0);
}

function frame() {
  view?.frame(now());
  requestAnimationFrame(frame);
}

document.addEventListener("keydown", key);
window.addEventListener("popstate", open);
$("search").addEventListener("input", find);
$("previous").addEventListener("click", () => turn(state.offset - PAGE));
$("next").addEventListener("click", () => turn(state.offset + PAGE));
document.addEventListener("click", (event) => {
  const anchor = event.target.closest("a.brand, #elsewhere");
  if (!anchor || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(anchor.getAttribute("href"));
});
setInterval(refresh, REFRESH_MS);
open();
requestAnimationFrame(frame);

// The page: which view is open, the link to the server, the keys that work everywhere, and the clock that drives all drawing.

import { Actions } from "../alarms/actions.js";
import { learnWords } from "../alarms/words.js";
import { getJson } from "./api.js";
import { dialogOpen, setText } from "./dom.js";
import { Head } from "./head.js";
import { openKeys } from "./keys.js";
import { LimitsBook } from "../limits/limitsbook.js";
import { Link } from "./link.js";
import { Model, now, setServerClock, wallClock } from "./model.js";
import { PatientView } from "../patient/patient.js";
import { keep, prefs } from "./prefs.js";
import { Session, signInForm } from "./session.js";
import { openSettings } from "./settings.js";
import { AlarmPage } from "../alarms/alarmpage.js";
import { Worklist } from "../alarms/worklist.js";
import { filter, WardPage } from "../ward/wardpage.js";

const REFRESH_MS = 250,
  TOAST_S = 6;
const THEMES = { dark: "light", light: "auto", auto: "dark" };
const HINTS = {
  ward: "Arrows: choose   Enter: open   a: acknowledge   o: order   p: pin   w: alarms   /: find   ?: keys",
  patient:
    "Space: pause   ← →: scroll   + −: zoom   n p: alarms   c: calipers   a: acknowledge   ?: keys   Esc: back",
};
HINTS.worklist = "↑ ↓: choose   x: mark   a: acknowledge   Enter: open   ?: keys   Esc: back";
HINTS.alarm = "a: acknowledge   r: review   j k: next, previous   Enter: the patient   Esc: back";
const $ = (id) => document.getElementById(id);

const model = new Model();
const session = new Session();
const actions = new Actions(session);
const limits = new LimitsBook();
const head = new Head({
  model,
  session,
  filterAlarm,
  rename: () => session.askName().then(refresh),
});
let link = null,
  view = null,
  ward = null,
  commands = [],
  record = null, // {start, end, speeds} while records are viewed instead of a ward
  saidUntil = 0;

async function begin() {
  if (!(await session.load())) return signIn();
  learnWords(await getJson("/api/words"));
  link ??= new Link({
    frame: (buffer) => model.frame(buffer),
    message: take,
    connected: (yes) => {
      if (!yes) view?.lost?.();
      refresh();
    },
    refused: signIn,
  });
  open();
}

function signIn() {
  link?.close();
  link = ward = null;
  view?.close();
  view = null;
  document.body.dataset.view = "sign-in";
  document.title = "Sign in · ecgwatch";
  $("banner").hidden = true;
  $("tools").replaceChildren();
  if (!document.querySelector(".sign-in")) $("view").replaceChildren(signInForm(session, begin));
}

function take(message) {
  if (message.type === "hello") {
    commands = message.commands;
    if (JSON.stringify(message.record ?? null) !== JSON.stringify(record)) {
      record = message.record ?? null;
      open();
    }
    model.reconnected();
  } else if (message.type === "patient") model.take(message);
  else if (message.type === "events") takeEvents(message.events);
  else if (message.type === "ward") takeWard(message);
}

function takeEvents(events) {
  model.events(events);
  for (const { action } of events)
    if (action?.action === "limits") for (const patient of model) limits.forget(patient.id);
  if (events.some((event) => event.alarm || event.action)) {
    actions.check();
    refresh();
  }
}

function takeWard(message) {
  ward = message;
  setServerClock(message.now);
  view?.tick?.(message);
}

function open() {
  if (!link) return;
  view?.close();
  const asked = new URLSearchParams(location.search),
    patient = asked.get(location.pathname === "/alarm" ? "patient" : "id");
  const name = { "/patient": "patient", "/alarm": "alarm", "/worklist": "worklist" }[
    location.pathname
  ];
  document.body.dataset.view = name && (patient || name === "worklist") ? name : "ward";
  VIEWS[document.body.dataset.view](patient, asked.get("id"), asked.get("review"));
  if (location.pathname === "/worklist") $("worklist").setAttribute("aria-current", "page");
  else $("worklist").removeAttribute("aria-current");
  if (ward) view.tick?.(ward);
  setText($("hint"), HINTS[document.body.dataset.view]);
  refresh();
}

const VIEWS = {
  ward: () => {
    document.title = "Ward · ecgwatch";
    view = new WardPage($("view"), {
      model,
      link,
      session,
      limits,
      actions,
      say,
      commands: () => commands,
      open: (patient) => {
        filter.lastFocus = patient;
        go(`/patient?id=${encodeURIComponent(patient)}`);
      },
    });
    $("tools").replaceChildren(...view.tools);
  },
  patient: (id, _, review) => {
    document.title = `${id} · ecgwatch`;
    show([id]);
    $("tools").replaceChildren();
    view = new PatientView($("view"), model.get(id), {
      back: () => go("/"),
      go,
      session,
      actions,
      limits,
      say,
      record,
      review,
    });
    $("view").focus();
  },
  worklist: () => {
    document.title = "Alarms · ecgwatch";
    show([]);
    view = new Worklist($("view"), { actions, session, say, go });
    $("tools").replaceChildren(...view.tools);
    $("view").focus();
  },
  alarm: (id, alarm) => {
    document.title = `Alarm · ${id} · ecgwatch`;
    show([id]);
    $("tools").replaceChildren();
    view = new AlarmPage($("view"), model.get(id), alarm, { actions, session, say, go });
    $("view").focus();
  },
};

/** Follow exactly these patients. */
function show(ids) {
  model.show(ids);
  link.watch(ids);
}

function go(url) {
  history.pushState(null, "", url);
  open();
}

/** Show a short message at the foot of the page. */
function say(text, phase = "") {
  setText($("toast"), text);
  $("toast").dataset.phase = phase;
  saidUntil = now() + TOAST_S;
}

/** Update words and numbers; the traces are drawn separately. */
function refresh() {
  if (!link) return;
  actions.check();
  head.refresh(ward, link.connected);
  view?.refresh(link.connected, record?.start ?? wallClock());
  if (now() > saidUntil) setText($("toast"), "");
}

function filterAlarm(level) {
  if (!(view instanceof WardPage)) go("/");
  view.choose({ alarm: filter.alarm === level ? "" : level });
}

function settings() {
  openSettings({
    session,
    record,
    tryTone: () => head.tones.sample(),
    rename: () => {
      closeDialog();
      session.askName().then(refresh);
    },
    signOut: () =>
      session.signOut().then(() => {
        closeDialog();
        begin();
      }),
  });
}

function closeDialog() {
  document.querySelector("dialog[open]")?.close();
}

const EVERYWHERE = {
  "/": () => $("search").focus(),
  "?": openKeys,
  m: () => say(head.mute()),
  w: () => go("/worklist"),
  ",": settings,
  t: () => {
    keep("theme", THEMES[prefs.theme]);
    say(`Theme: ${prefs.theme === "auto" ? "as the system" : prefs.theme}`);
  },
};

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || dialogOpen() || !link) return;
  if (event.target === $("search")) {
    if (event.key === "Escape") {
      $("search").value = "";
      find();
      $("search").blur();
    }
    return;
  }
  if (event.target.closest("input, select, textarea") && event.key !== "Escape") return;
  if (event.key === " " && event.target.closest("button, a")) return; // the key presses the focused element
  if (EVERYWHERE[event.key]) EVERYWHERE[event.key]();
  else if (!view?.key(event)) return;
  event.preventDefault();
}

function find() {
  filter.search = $("search").value.trim();
  if (!(view instanceof WardPage)) go("/");
  view.choose({});
}

function frame() {
  view?.frame(now());
  requestAnimationFrame(frame);
}

actions.addEventListener("change", ({ detail }) => {
  if (detail)
    say([detail.text, detail.patient?.id, detail.about].filter(Boolean).join(" · "), detail.phase);
  refresh();
});
document.addEventListener("keydown", key);
document.addEventListener("signed-out", signIn);
window.addEventListener("popstate", open);
$("search").addEventListener("input", find);
const narrow = matchMedia("(max-width: 600px)"),
  shorten = () => {
    $("search").placeholder = narrow.matches ? "Find" : "Find patient  /";
  };
narrow.addEventListener("change", shorten);
shorten();
$("settings").addEventListener("click", settings);
$("help").addEventListener("click", openKeys);
document.addEventListener("click", (event) => {
  const anchor = event.target.closest("a.brand, a.up, a.inside, #elsewhere, #worklist");
  if (!anchor || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(anchor.getAttribute("href"));
});
navigator.serviceWorker?.register("/service-worker.js").catch(() => {}); // without it the page works, but is not installable
setInterval(refresh, REFRESH_MS);
begin();
requestAnimationFrame(frame);

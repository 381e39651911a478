// The head of the page: the whole ward's alarms, the most urgent one that is not on the screen, tones and mute, the signed-in person, and the banner.

import { h, icon, setData, setHidden, setText } from "./dom.js";
import { now, wallClock } from "./model.js";
import { keep, prefs } from "./prefs.js";
import { Tones } from "../alarms/tones.js";
import { alarmText, countdown, mark, refusedText, time } from "../alarms/words.js";

const MARKS = { high: "***", medium: "**", low: "*", technical: "tech" };
const RANK = ["high", "medium", "low"];
const ICONS = {
  silenced: "bell-off",
  who: "person",
  settings: "gear",
  worklist: "list",
  filters: "funnel",
};
const $ = (id) => document.getElementById(id);

export class Head {
  /** context: {model, session, filterAlarm, rename} */
  constructor(context) {
    this.context = context;
    this.tones = new Tones();
    this.told = new Set(); // alarms that have been announced
    this.first = true;
    $("sound").addEventListener("click", () => this.sound());
    $("who").addEventListener("click", () => context.rename());
    $("chips").addEventListener("click", (event) => {
      const chip = event.target.closest(".chip");
      if (chip) context.filterAlarm(chip.dataset.level);
    });
    for (const [id, name] of Object.entries(ICONS)) $(id).prepend(icon(name));
    $("filters").addEventListener("click", () => {
      const open = $("filters").getAttribute("aria-expanded") === "true";
      $("filters").setAttribute("aria-expanded", String(!open));
    });
  }

  /** Turn the tones on or off. */
  sound() {
    if (!this.tones.on) this.tones.turnOn();
    else this.tones.turnOff();
    keep("sound", this.tones.on);
    this.#soundButton();
  }

  mute() {
    if (!this.tones.on) return "The tones are off.";
    if (this.tones.mutedFor(now())) {
      this.tones.unmute();
      return "Tones on.";
    }
    this.tones.mute(now());
    return "Muted for 2 min.";
  }

  refresh(ward, connected) {
    setText($("clock"), time(wallClock()));
    setText(
      $("count"),
      ward ? `${ward.patients} ${ward.patients === 1 ? "patient" : "patients"}` : "",
    );
    const name = this.context.session.name || "Your name?";
    setText($("who-name"), name);
    if ($("who").getAttribute("aria-label") !== name) $("who").setAttribute("aria-label", name);
    if (ward) {
      this.#chips(ward.alarms);
      this.#elsewhere(ward.worst);
      this.#silenced(ward);
      this.#announce(ward.worst);
    }
    this.tones.sound(connected && ward ? this.#loudest(ward.worst) : "", now());
    this.#soundButton();
    const problem = !connected
      ? ward
        ? "No connection to the monitor's server: what is shown is old. Trying again …"
        : "Connecting to the monitor's server …"
      : ward && !ward.broker
        ? "The monitor cannot reach the Kafka broker: nothing new arrives. Trying again …"
        : (ward?.system ?? []).map((alarm) => alarm.text).join(" · ");
    setHidden($("banner"), !problem);
    setText($("banner"), problem);
    document.body.classList.toggle("lost", !connected);
    setHidden($("refused"), !ward?.refused);
    setText($("refused"), ward?.refused ? refusedText(ward.refused) : "");
    $("refused").title = ward?.refused?.reason ?? "";
  }

  /** The highest priority that nobody has acknowledged or silenced. */
  #loudest(worst) {
    const loud = worst
      .filter((a) => a.acknowledged == null && a.standing !== false && !this.#isSilenced(a))
      .map((a) => a.priority);
    return RANK.find((priority) => loud.includes(priority)) ?? "";
  }

  #isSilenced(alarm) {
    const patient = this.context.model.get(alarm.patient),
      full = { silenced_until: null, ...alarm };
    return patient?.known
      ? patient.silencedS(full) > 0
      : full.silenced_until !== null && alarm.priority !== "high";
  }

  #chips(counts) {
    const texts = Object.keys(MARKS)
      .filter((level) => counts[level])
      .map((level) => [level, `${MARKS[level]} ${counts[level]}`]);
    const key = texts.join();
    if (key === $("chips").dataset.key) return;
    $("chips").dataset.key = key;
    $("chips").replaceChildren(
      ...texts.map(([level, text]) =>
        h(
          "button",
          {
            class: "chip",
            "data-level": level,
            title: `${level === "technical" ? "Technical alarms" : `Alarms of ${level} priority`}: show only these patients`,
          },
          text,
        ),
      ),
    );
  }

  #silenced(ward) {
    const shown = [...this.context.model].reduce(
      (n, patient) =>
        n +
        [...patient.alarms.values()].filter(
          (a) => !a.over && a.announced && patient.silencedS(a) > 0,
        ).length,
      0,
    );
    const count = ward.silenced ?? shown;
    setHidden($("silenced"), !count);
    setText($("silenced").lastChild, String(count));
    $("silenced").title = `${count} ${count === 1 ? "alarm is" : "alarms are"} silenced`;
  }

  /** The most urgent alarm among the patients that this page does not show. */
  #elsewhere(worst) {
    const hidden = worst.find(
      (alarm) =>
        !alarm.technical && alarm.acknowledged == null && !this.context.model.get(alarm.patient),
    );
    setHidden($("elsewhere"), !hidden);
    if (!hidden) return;
    setData($("elsewhere"), "level", hidden.priority);
    $("elsewhere").href = `/patient?id=${encodeURIComponent(hidden.patient)}`;
    setText($("elsewhere"), `${mark(hidden)} ${hidden.patient}: ${alarmText(hidden)}`);
  }

  /** Announce new alarms to users of a screen reader. */
  #announce(worst) {
    const fresh = worst.filter(
      (a) => !this.told.has(`${a.id} ${a.level ?? 0}`) && a.acknowledged == null,
    );
    for (const alarm of fresh) this.told.add(`${alarm.id} ${alarm.level ?? 0}`);
    if (this.told.size > 2000) this.told = new Set([...this.told].slice(-1000));
    if (fresh.length && !this.first)
      setText(
        $("announce"),
        fresh
          .map(
            (a) => `${a.technical ? "Technical" : a.priority} alarm, ${a.patient}: ${alarmText(a)}`,
          )
          .join(". "),
      );
    this.first = false;
  }

  #soundButton() {
    const { on } = this.tones,
      muted = this.tones.mutedFor(now()),
      state = on ? (muted ? "muted" : "on") : "off";
    const button = $("sound");
    if (button.dataset.state !== state) {
      button.dataset.state = state;
      button.replaceChildren(icon(state === "on" ? "bell" : "bell-off"), h("span"));
      button.title = {
        on: "Tones are on. Click: off; m: mute for 2 min",
        muted: "Tones are muted. m: sound again",
        off: prefs.sound
          ? "Tones were on; the browser wants a click to turn them on again"
          : "Tones are off. Click: on",
      }[state];
      button.setAttribute("aria-pressed", String(on));
      button.setAttribute("aria-label", on ? "Tones on" : "Tones off");
    }
    setText(
      button.lastChild,
      state === "muted" ? `Muted ${countdown(muted)}` : state === "on" ? "Tones on" : "Tones off",
    );
  }
}

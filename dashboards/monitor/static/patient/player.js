// The player of a record under view: play, pause, speed, go to a time, save the edits. The server plays; while it is paused the page shows the stored record.

import { getJson, send } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { time } from "../alarms/words.js";

const LOOK_MS = 2000;

export class Player {
  /** record: {start, end, speeds}; `say` shows a short message */
  constructor(patient, record, chart, say) {
    Object.assign(this, { patient, record, chart, say, playing: true });
    this.button = h("button", { class: "play", title: "Space", onclick: () => this.toggle() });
    this.speed = h(
      "select",
      { "aria-label": "Speed", onchange: () => this.#order({ speed: Number(this.speed.value) }) },
      ...record.speeds.map((speed) => h("option", { value: speed }, `${speed}×`)),
    );
    this.speed.value = "1";
    this.where = h("input", {
      type: "text",
      class: "go-to",
      size: 9,
      "aria-label": "Go to a time of the record, as 90, 1:30 or 0:01:30",
      title: "Go to: seconds, m:ss or h:mm:ss; Enter",
      placeholder: "go to m:ss",
      onkeydown: (event) => event.key === "Enter" && this.#goTo(),
    });
    this.length = h("span", { class: "length" }, `of ${time(record.end)}`);
    this.element = h(
      "span",
      { class: "player group", role: "group", "aria-label": "Record" },
      this.button,
      this.speed,
      this.where,
      this.length,
      h(
        "button",
        { title: "Write the beats as edited to a file", onclick: () => this.#save() },
        "Save",
      ),
    );
    this.#shown();
    this.timer = setInterval(() => this.#look(), LOOK_MS);
    this.#look();
  }

  close() {
    clearInterval(this.timer);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** Stand still, on paper. */
  pause() {
    this.chart.pause();
    this.#order({ playing: false });
  }

  /** Play on from the shown period, or from `at`. */
  play(at = this.chart.live ? null : this.chart.shown.from) {
    const { end, start } = this.record;
    const from = at !== null && at >= end - 1000 ? start : at;
    this.chart.resume();
    this.#order({ playing: true, ...(from === null ? {} : { at: from }) });
  }

  async #order(order) {
    try {
      this.#take(await send("POST", "/api/player", order));
    } catch (refused) {
      this.say(refused.message);
    }
  }

  async #look() {
    try {
      this.#take(await getJson("/api/player"));
    } catch {
      /* the banner says that the server is away */
    }
  }

  #take({ playing, speed }) {
    const ended = this.playing && !playing;
    Object.assign(this, { playing });
    this.patient.paused = !playing;
    if (document.activeElement !== this.speed) this.speed.value = String(speed);
    if (ended && this.chart.live) this.chart.pause();
    this.#shown();
  }

  #shown() {
    setText(this.button, this.playing ? "Pause" : "Play");
  }

  #goTo() {
    const seconds = secondsOf(this.where.value),
      at = this.record.start + seconds * 1000;
    if (!(at >= this.record.start && at <= this.record.end)) {
      this.say(`Write a time up to ${time(this.record.end)}: seconds, m:ss or h:mm:ss.`);
      return;
    }
    this.where.value = "";
    this.where.blur();
    if (this.playing) this.play(at);
    else this.chart.show(at);
  }

  async #save() {
    try {
      const id = encodeURIComponent(this.patient.id);
      const { path, beats, edits } = await send("POST", `/api/save/${id}`, {});
      this.say(`Saved ${beats} beats, ${edits} edits: ${path}`);
    } catch (refused) {
      this.say(refused.message);
    }
  }
}

/** "90", "1:30" or "0:01:30" in seconds; NaN for anything else. */
export function secondsOf(text) {
  const parts = text.trim().split(":");
  if (parts.length > 3 || !parts.every((part) => /^\d+([.,]\d+)?$/.test(part))) return NaN;
  return parts.reduce((sum, part) => sum * 60 + Number(part.replace(",", ".")), 0);
}

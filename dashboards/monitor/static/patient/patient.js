// One patient: the trace, the last hours, the numbers and the alarms; and over them, on request, a review or an hour at a glance.

import { age, standing } from "../alarms/words.js";
import { getJson, patientPath } from "../core/api.js";
import { h, setClass, setData } from "../core/dom.js";
import { now, wallClock } from "../core/model.js";
import { keep, prefs, togglePin } from "../core/prefs.js";
import { Chart, GAINS } from "../trace/chart.js";
import { Tape } from "../trace/tape.js";
import { technicalText } from "../ward/tile.js";
import { BeatsPanel } from "../measures/beatspanel.js";
import { MeasuresPanel } from "../measures/measurespanel.js";
import { AlarmSteps } from "./alarmsteps.js";
import { nextBeat } from "./findbeat.js";
import { openLimits } from "../limits/limits.js";
import { writeNote } from "./notes.js";
import { Overlays } from "./overlays.js";
import { Player } from "./player.js";
import { printReview, printShown } from "./printing.js";
import { SidePanel } from "./sidepanel.js";
import { TitleBar } from "./titlebar.js";
import { Toolbar } from "./toolbar.js";
import { Trend } from "../trend/trend.js";

const SPEEDS = [25, 50];
const LOWER = ["trend", "beats", "measures"];
const KEYS_OVER_A_PANEL = ["n", "p", "a", "r", "j", "k", "o", "N"];
const OLDER_H = 24,
  LISTED_H = 168; // the worklist reaches so far back

export class PatientView {
  /** context: {back, go, session, actions, limits, say, record, review}; `record` {start, end, speeds} only for a record under view,
   * `review` the id of an alarm to review at once */
  constructor(root, patient, context) {
    Object.assign(this, { patient, context, toReview: context.review });
    const { record } = context;
    patient.horizon = record?.end;
    this.tape = new Tape(patient);
    this.chart = new Chart(patient, this.tape, () => this.#shown());
    this.trend = new Trend(patient, this.tape, {
      limits: () => context.limits.rate(patient.id),
      go: (t) => this.goTo(t),
      pointed: (t) => this.chart.cursor(t),
    });
    this.chart.begin = () => record?.start ?? this.trend.begin;
    this.player = record ? new Player(patient, record, this.chart, context.say) : null;
    if (record) {
      this.tape.withReferences();
      this.trend.whole = { from: record.start, to: record.end };
    }
    this.title = new TitleBar(patient);
    this.tools = new Toolbar(this.chart, {
      alarm: (step) => this.alarms.next(step),
      beat: (step) => this.nextBeat(step),
      disclose: () => this.overlays.disclose(),
      edit: () => this.editBeats(),
      note: () => this.note(),
      print: () => this.print(),
      toggle: () => this.toggle(),
      player: this.player?.element,
    });
    this.side = new SidePanel(patient, context, {
      openLimits: () => this.limits(),
      review: (alarm) => this.overlays.review(alarm),
      goTo: (t) => this.goTo(t),
    });
    this.beats = new BeatsPanel(patient, this.trend);
    this.measures = new MeasuresPanel(patient, this.trend);
    this.left = h(
      "div",
      { class: "left" },
      this.chart.element,
      this.tools.element,
      this.trend.element,
      this.beats.element,
      this.measures.element,
    );
    setData(this.left, "lower", prefs.lower);
    this.overlays = new Overlays(patient, this.tape, context.session, this.left, {
      goTo: (t) => this.goTo(t),
      nextAlarm: (step) => this.alarms.next(step),
      listed: (step) => this.alarms.listed(step),
      print: () => this.print(),
    });
    this.alarms = new AlarmSteps(patient, this.chart, this.overlays, context, () => this.#middle());
    this.element = h(
      "section",
      { class: "patient" },
      this.title.element,
      this.left,
      this.side.element,
    );
    root.replaceChildren(this.element);
    this.chart.fit();
    this.#older();
  }

  close() {
    this.player?.close();
    this.overlays.close();
    for (const part of [this.chart, this.trend, this.beats, this.measures, this.side]) part.close();
  }

  frame(at) {
    if (!this.overlays.panel) this.chart.frame(at);
  }

  async #older() {
    const { review } = this.context,
      hours = review ? LISTED_H : OLDER_H;
    try {
      this.patient.older((await getJson(patientPath(this.patient.id, "alarms", { hours }))).alarms);
    } catch {
      /* the list shows what could not be read */
    }
  }

  key(event) {
    const { key, shiftKey } = event,
      { chart } = this;
    if (this.overlays.panel?.key(event)) return true;
    if (this.overlays.disclosed || this.overlays.editing) return false;
    if (key === "Escape") return this.#escape();
    const actions = {
      " ": () => this.toggle(),
      ArrowLeft: () => chart.scroll(shiftKey ? -0.1 : -1),
      ArrowRight: () => chart.scroll(shiftKey ? 0.1 : 1),
      "+": () => chart.zoom(-1),
      "=": () => chart.zoom(-1),
      "-": () => chart.zoom(1),
      n: () => this.alarms.next(1),
      p: () => this.alarms.next(-1),
      j: () => this.alarms.listed(1),
      k: () => this.alarms.listed(-1),
      b: () => this.nextBeat(1),
      B: () => this.nextBeat(-1),
      c: () => chart.calipers.toggle(),
      a: () => this.alarms.act("acknowledge"),
      A: () => this.context.actions.acknowledgeAll(this.patient),
      s: () => this.alarms.act("silence"),
      g: () => keep("speed", SPEEDS[(SPEEDS.indexOf(prefs.speed) + 1) % SPEEDS.length]),
      d: () => this.overlays.disclose(),
      E: () => this.editBeats(),
      N: () => this.note(),
      o: () => this.print(),
      l: () => this.limits(),
      r: () => this.alarms.reviewNewest(),
      e: () => keep("lower", LOWER[(LOWER.indexOf(prefs.lower) + 1) % LOWER.length]),
      0: () => chart.fitGain(),
      P: () =>
        this.context.say(`${togglePin(this.patient.id) ? "Pinned" : "Not pinned any more"}.`),
    };
    if (GAINS[key]) keep("gain", GAINS[key]);
    else if (actions[key] && !(this.overlays.panel && !KEYS_OVER_A_PANEL.includes(key)))
      actions[key]();
    else return false;
    return true;
  }

  refresh(connected, today) {
    const { patient } = this,
      dead = !connected || patient.stale || patient.ended;
    setClass(this.element, "dead", dead);
    this.title.refresh();
    this.chart.refresh({
      dead,
      technical: technicalText(patient, standing(patient, now()).technical, connected),
      missing: this.#missing(connected),
    });
    this.tools.refresh(today);
    this.side.refresh(connected, dead, today);
    const window = this.chart.live ? null : this.chart.shown;
    this.trend.refresh(window);
    this.beats.refresh();
    this.measures.refresh(window);
    setData(this.left, "lower", prefs.lower);
    this.#reviewAsked();
    this.overlays.panel?.refresh?.();
  }

  /** Review the alarm that was asked for once it is known: it comes from the store or over the live link. */
  #reviewAsked() {
    const alarm = this.patient.alarms.get(this.toReview);
    if (!alarm) return;
    this.toReview = null;
    this.overlays.review(alarm);
  }

  /** Freeze the trace, or go on. */
  toggle() {
    (this.player ?? this.chart).toggle();
  }

  /** Edit the beats in the middle of the trace. */
  editBeats() {
    this.player?.pause();
    if (this.chart.live) this.chart.pause();
    this.overlays.editBeats(this.#middle());
  }

  /** Write a note of the present, or of the middle of the shown period, or of the alarm under review. */
  note() {
    const at = this.overlays.reviewed?.onset ?? (this.chart.live ? wallClock() : this.#middle());
    writeNote(this.patient, at, this.context);
  }

  print() {
    const { patient, context, chart, overlays, tape } = this,
      { panel, reviewed } = overlays;
    if (reviewed) printReview(patient, panel, context);
    else printShown(patient, chart, tape, context);
  }

  /** Show a time in the trace. */
  goTo(t) {
    this.overlays.close();
    this.chart.centre(t);
  }

  async nextBeat(step) {
    const label = this.tools.beatClass,
      at = this.#middle();
    const beat = await nextBeat(this.tape, label, at, step).catch((refused) => {
      this.context.say(refused.message);
    });
    if (beat) this.chart.centre(beat.t);
    else if (beat === null)
      this.context.say(`No ${step > 0 ? "later" : "earlier"} ${label} beat within a day.`);
  }

  limits() {
    const { limits, actions } = this.context;
    openLimits({ patient: this.patient, limits, actions });
  }

  #middle() {
    if (this.chart.live) return this.patient.time + 1;
    const { from, to } = this.chart.shown;
    return (from + to) / 2;
  }

  #escape() {
    if (this.overlays.panel) this.overlays.close(true);
    else if (this.chart.calipers.open) this.chart.calipers.close();
    else if (this.player) this.context.back();
    else if (!this.chart.live) this.chart.resume();
    else this.context.back();
    return true;
  }

  #missing(connected) {
    const { patient } = this;
    if (!connected) return "";
    if (!patient.known)
      return `Nothing has been heard of ${patient.id} yet; its trace appears here when it begins.`;
    if (patient.ended) return "The stream has ended.";
    if (patient.samplesAt === -Infinity) return "No samples yet.";
    return patient.stale ? `No data for ${age(patient.age)}: the trace is old.` : "";
  }

  /** Called when the chart shows another period. */
  #shown() {
    if (!this.tools) return;
    this.alarms.marked = null;
    this.tools.shown();
    setData(this.left, "live", String(this.chart.live));
  }
}

// Choose the patients of the ward page by search, filters, order and pages, through the server; ward.js shows the tiles.

import { getJson } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { now } from "../core/model.js";
import { keep, onChange, prefs, togglePin } from "../core/prefs.js";
import { emptyWard } from "./emptyward.js";
import { PeopleDialog } from "./people.js";
import { PAGE, Ward } from "./ward.js";
import { rhythmLabels, rhythmWord } from "../alarms/words.js";

/** A person's choice; it survives a visit to one patient's page. */
export const filter = {
  offset: 0,
  search: "",
  alarm: "",
  rhythm: "",
  pinned: false, // only the pinned patients: two to four of them share the screen
  lastFocus: null,
};

const pageSize = () => prefs.tiles || PAGE;

const ALARMS = [
  ["", "Any state"],
  ["any", "With an alarm"],
  ["high", "*** high"],
  ["medium", "** medium"],
  ["low", "* low"],
  ["technical", "Technical"],
];

export class WardPage {
  #asked = 0; // number of lists requested so far
  #oldest = 0; // answers to earlier requests are out of date
  #revision = -1;

  /** context: {model, link, open, limits, actions, commands} */
  constructor(root, context) {
    this.context = context;
    this.total = 0;
    this.ward = new Ward(root, {
      model: context.model,
      open: context.open,
      limits: context.limits,
      watch: (ids) => {
        context.model.show(ids);
        context.link.watch(ids);
      },
    });
    const select = (label, options, value, take) =>
      h(
        "select",
        { "aria-label": label, onchange: (event) => take(event.target.value) },
        ...options.map(([v, text]) => h("option", { value: v, selected: v === value }, text)),
      );
    this.orderSelect = select(
      "Order",
      [
        ["bed", "By bed"],
        ["urgency", "By urgency"],
      ],
      prefs.order,
      (value) => keep("order", value),
    );
    this.alarmSelect = select("Alarm", ALARMS, filter.alarm, (value) =>
      this.choose({ alarm: value }),
    );
    this.rhythmSelect = select(
      "Rhythm",
      [["", "Any rhythm"], ...rhythmLabels().map((label) => [label, rhythmWord(label)])],
      filter.rhythm,
      (value) => this.choose({ rhythm: value }),
    );
    this.where = h("span", { class: "where" });
    this.previous = h(
      "button",
      { "aria-label": "Previous page", onclick: () => this.turn(-1) },
      "‹",
    );
    this.next = h("button", { "aria-label": "Next page", onclick: () => this.turn(1) }, "›");
    this.pager = h(
      "nav",
      { class: "pager", "aria-label": "Pages", hidden: true },
      this.previous,
      this.where,
      this.next,
    );
    this.peopleButton = h("button", { onclick: () => new PeopleDialog(context) }, "Patients …");
    this.peopleButton.hidden = !context.session.may("admin");
    this.pinnedButton = h("button", {
      title: "Only the pinned patients (v); p pins the chosen one",
      onclick: () => this.choose({ pinned: !filter.pinned }),
    });
    this.#pins();
    this.tools = [
      this.pager,
      this.pinnedButton,
      this.orderSelect,
      this.alarmSelect,
      this.rhythmSelect,
      this.peopleButton,
    ];
    this.endings = [
      onChange("order", () => {
        this.orderSelect.value = prefs.order;
        this.choose({});
      }),
      onChange("tiles", () => this.choose({})),
      onChange("pinned", () => this.choose({ pinned: filter.pinned && prefs.pinned.length > 0 })),
    ];
  }

  close() {
    this.ward.close();
    for (const end of this.endings) end();
    this.#oldest = Infinity;
  }

  frame(at) {
    this.ward.frame(at);
  }

  refresh(connected) {
    this.ward.refresh(connected);
  }

  /** Take the server's summary, once a second: names are fetched again if patients came or went, tiles wait to move, or the choice depends on state.
   * */
  tick(ward) {
    const stateMatters = prefs.order === "urgency" || filter.alarm || filter.rhythm;
    const knowsNobody = this.#revision === -1 && !ward.broker && this.ward.tiles.size; // a restarted server; the shown patients stay
    if (!knowsNobody && (ward.revision !== this.#revision || stateMatters || this.ward.order.waits))
      this.load(ward.revision, false);
  }

  /** Note that the link was lost: everything may be different. */
  lost() {
    this.#revision = -1;
    this.#oldest = this.#asked + 1;
  }

  /** Apply a person's choice of other patients. */
  choose(changes) {
    Object.assign(filter, { offset: 0 }, changes);
    this.alarmSelect.value = filter.alarm;
    this.#pins();
    this.load(this.#revision, true);
  }

  turn(pages) {
    const to = filter.offset + pages * pageSize();
    if (to < 0 || (pages > 0 && to >= this.total)) return;
    filter.offset = to;
    this.load(this.#revision, true);
  }

  key(event) {
    const actions = {
      PageDown: () => this.turn(1),
      PageUp: () => this.turn(-1),
      o: () => keep("order", prefs.order === "bed" ? "urgency" : "bed"),
      a: () => this.#acknowledge(),
      p: () => this.#pin(),
      v: () => prefs.pinned.length && this.choose({ pinned: !filter.pinned }),
    };
    if (this.ward.key(event)) return true;
    if (!actions[event.key]) return false;
    actions[event.key]();
    return true;
  }

  #pin() {
    const id = this.ward.chosen?.patient.id;
    if (id) this.context.say(`${togglePin(id) ? "Pinned" : "Not pinned any more"}: ${id}`);
    else this.context.say("Choose a patient first, with the arrows.");
  }

  #pins() {
    const n = prefs.pinned.length;
    this.pinnedButton.hidden = n === 0;
    this.pinnedButton.setAttribute("aria-pressed", String(filter.pinned));
    setText(this.pinnedButton, filter.pinned ? "All patients" : `Pinned ${n}`);
    for (const [id, tile] of this.ward.tiles) tile.setPinned(prefs.pinned.includes(id));
  }

  #acknowledge() {
    const tile = this.ward.chosen,
      alarm = tile?.worst;
    if (alarm) this.context.actions.acknowledge(tile.patient, alarm);
    else
      this.context.say(
        tile ? "No alarm to acknowledge." : "Choose a patient first, with the arrows.",
      );
  }

  /** Fetch the names of this page; `atOnce` if a person has asked for it, else tiles wait before they move. */
  async load(revision, atOnce) {
    const mine = ++this.#asked,
      { search, alarm, rhythm, offset } = filter;
    if (atOnce) this.#oldest = mine;
    const query = new URLSearchParams({
      offset,
      limit: pageSize(),
      search,
      order: prefs.order,
      ...(alarm && { alarm }),
      ...(rhythm && { rhythm }),
      ...(filter.pinned && { only: "pinned" }),
    });
    for (const id of prefs.pinned) query.append("pinned", id);
    try {
      const page = await getJson(`/api/patients?${query}`);
      if (mine < this.#oldest) return;
      this.#oldest = mine;
      this.#revision = revision;
      this.total = page.total;
      if (offset && offset >= page.total) {
        filter.offset = 0;
        this.load(revision, true);
        return;
      }
      const ids = page.patients.map((patient) => patient.id);
      if (atOnce) this.ward.show(ids, this.#note());
      else this.ward.wish(ids, this.#note(), now());
      for (const { id, name, bed } of page.patients) this.ward.tiles.get(id)?.call(bed, name);
      this.#pins();
      this.#pages(ids.length);
      this.#focus();
    } catch {
      /* the link is down and shown as such; the next sign of life triggers a new request */
    }
  }

  #focus() {
    if (!filter.lastFocus) return;
    this.ward.tiles.get(filter.lastFocus)?.element.focus();
    filter.lastFocus = null;
  }

  #pages(shown) {
    const { offset } = filter;
    this.pager.hidden = this.total <= pageSize();
    setText(this.where, `${offset + 1}–${offset + shown} of ${this.total}`);
    this.previous.disabled = offset === 0;
    this.next.disabled = offset + shown >= this.total;
  }

  #note() {
    const { search, alarm, rhythm, pinned } = filter;
    if (!search && !alarm && !rhythm && !pinned) return emptyWard(this.context.commands());
    const wanted = [
      pinned && "that is pinned",
      search && `with “${search}” in the name`,
      alarm && `in the state “${ALARMS.find(([value]) => value === alarm)[1]}”`,
      rhythm && `in the rhythm “${rhythmWord(rhythm)}”`,
    ].filter(Boolean);
    return h(
      "div",
      {},
      h("p", {}, `No patient ${wanted.join(" and ")}.`),
      h(
        "button",
        {
          onclick: () => {
            filter.rhythm = this.rhythmSelect.value = "";
            document.getElementById("search").value = "";
            this.choose({ search: "", alarm: "", pinned: false });
          },
        },
        "Show all",
      ),
    );
  }
}

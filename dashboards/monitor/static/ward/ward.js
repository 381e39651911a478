// The ward: a tile per patient, as many as fit the screen, one canvas behind them all, and the keys to move among them.

import { h } from "../core/dom.js";
import { Order } from "./order.js";
import { onChange } from "../core/prefs.js";
import { onTheme } from "../core/theme.js";
import { Tile } from "./tile.js";

export const PAGE = 64;
const TILE_SHAPE = 2.9; // width to height that suits a trace of 8 s
const MIN_HEIGHT = 92,
  MIN_WIDTH = 300,
  MOST_HEIGHT = 0.42; // of its width: a taller tile has nothing to show
const FEW = 4; // up to this many patients fill the screen: they are watched from across the room
const LARGEST_PX = 16e6; // of one canvas; phones refuse more

export class Ward {
  constructor(root, { model, open, limits, watch }) {
    Object.assign(this, { root, model, open, limits, watch });
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.context = this.canvas.getContext("2d");
    this.grid = h("div", { class: "ward" }, this.canvas);
    this.note = h("div", { class: "note" }, "Loading the ward …");
    root.replaceChildren(h("h1", { class: "unseen" }, "Ward"), this.note, this.grid);
    this.tiles = new Map();
    this.order = new Order();
    this.resize = new ResizeObserver(() => this.#arrange());
    this.resize.observe(root);
    this.offTheme = onTheme(() => {
      for (const tile of this.tiles.values()) tile.sweep.redraw();
    });
    const again = () => {
      for (const tile of this.tiles.values()) tile.sweepAgain();
    };
    this.endings = ["tileSeconds", "tileGain", "screenMm"].map((name) => onChange(name, again));
  }

  close() {
    this.resize.disconnect();
    this.offTheme();
    for (const end of this.endings) end();
  }

  /** Show these patients at once, in this order; `note` explains an empty ward. */
  show(ids, note) {
    this.#place(this.order.set(ids));
    this.note.hidden = ids.length > 0;
    if (!ids.length) this.note.replaceChildren(note);
  }

  /** Take the patients that the ward's state wants; tiles move when that has been stable for a while. */
  wish(ids, note, at) {
    if (!this.order.shown.length || this.order.wish(ids, at)) this.show(ids, note);
  }

  #place(ids) {
    const kept = new Set(ids),
      focused = document.activeElement;
    this.watch(ids);
    for (const [id, tile] of this.tiles)
      if (!kept.has(id)) {
        tile.element.remove();
        this.tiles.delete(id);
      }
    ids.forEach((id, k) => {
      if (!this.tiles.has(id))
        this.tiles.set(
          id,
          new Tile(this.model.get(id), { open: () => this.open(id), limits: this.limits }),
        );
      const { element } = this.tiles.get(id);
      if (this.grid.children[k + 1] !== element)
        this.grid.insertBefore(element, this.grid.children[k + 1] ?? null);
    });
    if (focused?.isConnected && this.grid.contains(focused)) focused.focus({ preventScroll: true }); // a moved element loses the focus
    this.#arrange();
  }

  frame(at) {
    for (const tile of this.tiles.values()) tile.sweep.draw(at);
  }

  refresh(connected) {
    for (const tile of this.tiles.values()) tile.refresh(connected);
  }

  get elements() {
    return [...this.grid.children].slice(1);
  }

  /** The tile that has the focus. */
  get chosen() {
    return [...this.tiles.values()].find((tile) => tile.element === document.activeElement);
  }

  /** Arrows move, Home and End jump; Enter opens, as on any link. */
  key(event) {
    const tiles = this.elements;
    if (!tiles.length) return false;
    const at = tiles.indexOf(document.activeElement);
    const to = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      ArrowDown: at + this.columns,
      ArrowUp: at - this.columns,
      Home: 0,
      End: tiles.length - 1,
    }[event.key];
    if (to === undefined) return false;
    const target = at < 0 && event.key !== "End" ? 0 : to;
    if (target >= 0 && target < tiles.length) tiles[target].focus();
    return true;
  }

  /** The number of columns that makes the tiles largest and still shows them all, if that leaves them readable. */
  #arrange() {
    const n = this.tiles.size;
    if (!n) return;
    const { clientWidth: width, clientHeight: height } = this.root;
    let best = { area: -1, columns: 1 };
    for (let columns = 1; columns <= n; columns++) {
      const w = width / columns,
        tall = height / Math.ceil(n / columns);
      if (columns > 1 && w < MIN_WIDTH && tall >= MIN_HEIGHT) break;
      const area = Math.min(w, tall * TILE_SHAPE) * Math.min(tall, w / TILE_SHAPE);
      if (area > best.area) best = { area, columns };
    }
    this.columns =
      width < 2 * MIN_WIDTH && n > 1 ? Math.max(1, Math.floor(width / MIN_WIDTH)) : best.columns;
    this.grid.style.setProperty("--columns", this.columns);
    this.grid.style.setProperty("--row", `${this.#rowHeight(n, width, height)}px`);
    this.#fit();
  }

  /** The height of a row: all rows fill the screen, or, if they are too many, as many as fit are whole. */
  #rowHeight(n, width, height) {
    const rows = Math.ceil(n / this.columns);
    if (height / rows < MIN_HEIGHT) return height / Math.max(1, Math.floor(height / MIN_HEIGHT));
    const most = n <= FEW ? height : (width / this.columns) * MOST_HEIGHT;
    return Math.floor(Math.max(MIN_HEIGHT, Math.min(most, height / rows)));
  }

  /** Size the canvas to the grid, and place each trace in the rectangle of its tile. */
  #fit() {
    const { grid, canvas } = this,
      wide = grid.clientWidth,
      tall = grid.clientHeight;
    const ratio = Math.min(window.devicePixelRatio || 1, Math.sqrt(LARGEST_PX / (wide * tall)));
    const width = Math.round(wide * ratio),
      height = Math.round(tall * ratio);
    canvas.width = width; // this also clears it
    canvas.height = height;
    const from = grid.getBoundingClientRect();
    const boxes = [...this.tiles.values()].map((tile) => [
      tile.sweep,
      tile.strip.getBoundingClientRect(),
    ]);
    for (const [sweep, box] of boxes) {
      const x = Math.round((box.left - from.left) * ratio),
        y = Math.round((box.top - from.top) * ratio);
      sweep.place(
        this.context,
        x,
        y,
        Math.round(box.width * ratio),
        Math.round(box.height * ratio),
        ratio,
      );
      sweep.redraw();
    }
  }
}

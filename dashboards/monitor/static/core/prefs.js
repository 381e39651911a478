// Settings that this browser keeps for its user: name, theme, sound, paper. A page without storage works, but forgets them.

const KEY = "ecgwatch";
const DEFAULTS = {
  name: "",
  theme: "dark", // regardless of the system's setting: a ward is watched at night
  sound: false,
  order: "bed",
  tileSeconds: 8, // of a tile's trace
  tileGain: 0, // mm/mV of a tile's trace; 0: it follows the signal
  tiles: 0, // on one page of the ward; 0: as many as there are, up to 64
  volume: 100, // of the tones, percent
  clock: 24, // or 12, hours of the clock
  pinned: [], // ids of patients that stand first on the ward
  trend: 0, // ms that the trend spans; 0: as much as there is
  lower: "trend", // beneath the trace on a screen with room for one: "trend", "beats" or "measures"
  speed: 25,
  gain: 10, // mm/s, mm/mV
  paperSpeed: 25,
  paperGain: 10, // of the review and of what is printed
  fill: false, // the paper fills the width and is not to size
  screenMm: null, // pixels of the screen (not of CSS) per millimetre, as measured by the person
};

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

export const prefs = { ...DEFAULTS, ...stored() };
const changes = new EventTarget();

export function keep(name, value) {
  if (prefs[name] === value) return;
  prefs[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs));
  } catch {
    /* a private window keeps settings for this visit only */
  }
  changes.dispatchEvent(new CustomEvent(name));
}

/** Pin a patient to the head of the ward, or no longer; returns true if it is pinned now. */
export function togglePin(id) {
  const pinned = !prefs.pinned.includes(id);
  keep("pinned", pinned ? [...prefs.pinned, id] : prefs.pinned.filter((other) => other !== id));
  return pinned;
}

/** Listen to one of the settings; returns a function that stops listening. */
export function onChange(name, listener) {
  changes.addEventListener(name, listener);
  return () => changes.removeEventListener(name, listener);
}

const CSS_PX_PER_MM = 96 / 25.4; // the size that browsers assume for a screen

/** CSS pixels per millimetre of this screen: measured once by the person, else the browser's guess. A zoomed page keeps its millimetres. */
export const pxPerMm = () =>
  prefs.screenMm ? prefs.screenMm / (window.devicePixelRatio || 1) : CSS_PX_PER_MM;

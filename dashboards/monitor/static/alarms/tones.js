// Alarm tones, IEC 60601-1-8 in spirit: one sound for the whole ward, that of the most urgent alarm. Silent until a person turns the tones on.

import { prefs } from "../core/prefs.js";

// For each priority: pulses as starts in units of `pulse`, the fundamental, loudness, and seconds from burst to burst.
const PATTERNS = {
  high: {
    starts: [0, 1, 2, 4, 5, 9, 10, 11, 13, 14],
    pulse: 0.2,
    length: 0.15,
    hz: [523, 523, 523, 659, 784, 523, 523, 523, 659, 784],
    gain: 0.5,
    every: 6,
  },
  medium: {
    starts: [0, 1, 2],
    pulse: 0.4,
    length: 0.22,
    hz: [440, 440, 440],
    gain: 0.3,
    every: 10,
  },
  low: { starts: [0, 1], pulse: 0.6, length: 0.3, hz: [330, 262], gain: 0.16, every: 25 },
};
const RANK = ["high", "medium", "low"];
const HARMONICS = [0, 1, 0.5, 0.4, 0.3, 0.2]; // a tone of one frequency alone is easily missed
const MUTE_S = 120;

/** Loudness of the tones, 0 to 1, by the setting. */
const volume = () => prefs.volume / 100;

export class Tones {
  #context = null;
  #voice = null;
  #wave = null;
  #level = "";
  #lastAt = -Infinity;
  #mutedUntil = -Infinity;

  get on() {
    return this.#context !== null;
  }

  /** Call this only from a click or a key: otherwise browsers refuse. */
  turnOn() {
    if (this.on) return;
    this.#context = new AudioContext();
    this.#wave = this.#context.createPeriodicWave(
      new Float32Array(HARMONICS.length),
      Float32Array.from(HARMONICS),
    );
    this.#lastAt = -Infinity;
    this.#level = "";
    this.#mutedUntil = -Infinity;
  }

  turnOff() {
    this.#context?.close();
    this.#context = this.#voice = null;
  }

  mute(now) {
    this.#mutedUntil = now + MUTE_S;
    this.#hush();
  }

  unmute() {
    this.#mutedUntil = -Infinity;
    this.#lastAt = -Infinity;
  }

  /** Seconds of mute left, 0 if the tones are not muted. */
  mutedFor(now) {
    return Math.max(0, this.#mutedUntil - now);
  }

  /** Called several times a second with the highest priority that nobody has acknowledged or silenced ("" for none). */
  sound(level, now) {
    if (!this.on || this.mutedFor(now)) {
      this.#level = level;
      return;
    }
    const worse = level && (!this.#level || RANK.indexOf(level) < RANK.indexOf(this.#level));
    if (level !== this.#level && (worse || !level)) this.#hush(); // a more urgent alarm interrupts; an alarm that is over stops sounding
    if (level && (worse || now - this.#lastAt >= PATTERNS[level].every)) {
      this.#lastAt = now;
      this.#burst(PATTERNS[level]);
    }
    this.#level = level;
  }

  /** Sound one burst of medium priority, for a person who sets the volume. */
  sample() {
    if (this.on) this.#burst(PATTERNS.medium);
  }

  #burst({ starts, pulse, length, hz, gain }) {
    const context = this.#context;
    if (context.state === "suspended") context.resume();
    const voice = context.createGain();
    voice.gain.value = volume();
    this.#voice = voice;
    voice.connect(context.destination);
    const from = context.currentTime + 0.05;
    starts.forEach((start, k) => {
      const at = from + start * pulse,
        tone = context.createOscillator(),
        shape = context.createGain();
      tone.setPeriodicWave(this.#wave);
      tone.frequency.value = hz[k];
      shape.gain.setValueAtTime(0, at);
      shape.gain.linearRampToValueAtTime(gain, at + 0.02);
      shape.gain.setValueAtTime(gain, at + length - 0.04);
      shape.gain.linearRampToValueAtTime(0, at + length);
      tone.connect(shape).connect(voice);
      tone.start(at);
      tone.stop(at + length);
    });
  }

  #hush() {
    this.#voice?.disconnect();
    this.#voice = null;
  }
}

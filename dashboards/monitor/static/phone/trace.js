// Draw the last seconds of the trace and judge if it looks like an ECG.

const SECONDS = 5,
  FS_HZ = 130;

export class Trace {
  #values = [];

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  push(samples) {
    this.#values.push(...samples);
    if (this.#values.length > SECONDS * FS_HZ)
      this.#values.splice(0, this.#values.length - SECONDS * FS_HZ);
    this.#draw();
  }

  /** The quality of the last 5 s, in words. */
  get quality() {
    const values = this.#values.toSorted((a, b) => a - b),
      n = values.length;
    if (n < 2 * FS_HZ) return "waiting";
    const whole = values[n - 1] - values[0],
      middle = values[Math.floor(0.9 * n)] - values[Math.floor(0.1 * n)];
    if (whole < 100) return "flat: wet the strap, press it on";
    if (whole > 10_000) return "moving or loose";
    return middle > 0.6 * whole ? "noisy: hold still, wet the strap" : "good";
  }

  #draw() {
    const {
        context,
        canvas: { width, height },
      } = this,
      values = this.#values;
    context.clearRect(0, 0, width, height);
    if (values.length < 2) return;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    context.strokeStyle = "#3fb950";
    context.lineWidth = 2;
    context.beginPath();
    for (const [k, value] of values.entries())
      context.lineTo(
        (k / (SECONDS * FS_HZ)) * width,
        height / 2 - ((value - mean) / 2500) * height * 0.8,
      );
    context.stroke();
  }
}

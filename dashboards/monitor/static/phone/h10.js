// Polar H10 by Web Bluetooth: the measurement service (PMD), heart rate and battery. Byte layouts: ingest/gateway/codecs/polar.py.

const PMD = (n) => `fb005c8${n}-02e7-f387-1cad-8acd2d8df0c8`;
const START_ECG = [0x02, 0x00, 0x00, 0x01, 0x82, 0x00, 0x01, 0x01, 0x0e, 0x00]; // 130 Hz, 14 bit
const STOP_ECG = [0x03, 0x00];
const SUCCESS = 0,
  ALREADY = 6;
const ERRORS = {
  5: "it does not know this setting",
  10: "its packets are too small for ECG (MTU)",
};
const FIRST_FRAME_MS = 45_000; // by users' reports the first one takes up to 30 s
const EPOCH_2000_NS = 946684800000000000n;
export const FS_HZ = 130;

/** A data frame: {lastNs: nanoseconds of the last sample, by the strap's clock (BigInt, Unix epoch), microvolts: Int32Array}. Throws. */
export function decodeFrame(view) {
  if (view.byteLength < 13 || (view.byteLength - 10) % 3)
    throw new Error(
      `A frame of ${view.byteLength} bytes was cut short: Bluetooth packets (MTU) are too small here.`,
    );
  if (view.getUint8(0) !== 0)
    throw new Error(`A frame of measurement ${view.getUint8(0)}, not ECG.`);
  if (view.getUint8(9) !== 0)
    throw new Error(`An ECG frame of type ${view.getUint8(9)}, which this page does not know.`);
  const microvolts = new Int32Array((view.byteLength - 10) / 3);
  for (let k = 0, at = 10; k < microvolts.length; k++, at += 3) {
    microvolts[k] = view.getUint8(at) | (view.getUint8(at + 1) << 8) | (view.getInt8(at + 2) << 16);
  }
  return { lastNs: view.getBigUint64(1, true) + EPOCH_2000_NS, microvolts };
}

/** The heart rate measurement 2A37: {bpm, contact: true, false, or null if the strap does not report it}. */
export function decodeRate(view) {
  const flags = view.getUint8(0);
  return {
    bpm: flags & 1 ? view.getUint16(1, true) : view.getUint8(1),
    contact: flags & 4 ? Boolean(flags & 2) : null,
  };
}

/** A strap that the person has chosen. Events: "frame" {lastNs, microvolts, receivedMs}, "rate", "battery", "lost", "problem". */
export class Strap extends EventTarget {
  #control = null;

  async choose() {
    this.device = await navigator.bluetooth.requestDevice({
      filters: [{ namePrefix: "Polar H10" }],
      optionalServices: [PMD(0), "heart_rate", "battery_service"],
    });
    this.device.addEventListener("gattserverdisconnected", () => this.#tell("lost"));
    return this.device.name;
  }

  async connect() {
    this.ending?.abort(); // remove the listeners of an earlier connection
    this.ending = new AbortController();
    const server = await this.device.gatt.connect();
    const pmd = await server.getPrimaryService(PMD(0));
    this.#control = await pmd.getCharacteristic(PMD(1));
    const data = await pmd.getCharacteristic(PMD(2));
    const features = await this.#control.readValue();
    if (features.getUint8(0) !== 0x0f || !(features.getUint8(1) & 1))
      throw new Error("This strap offers no ECG.");
    await this.#listen(data, (view) => this.#frame(view));
    await this.#answered(START_ECG);
    clearTimeout(this.waiting);
    this.waiting = setTimeout(
      () =>
        this.#tell(
          "problem",
          "No ECG for 45 s. Is the strap on, and wet? Does another app use it?",
        ),
      FIRST_FRAME_MS,
    );
    await this.#beside(server, "heart_rate", "heart_rate_measurement", (view) =>
      this.#tell("rate", decodeRate(view)),
    );
    await this.#beside(
      server,
      "battery_service",
      "battery_level",
      (view) => this.#tell("battery", view.getUint8(0) / 100),
      true,
    );
  }

  /** Always stop the strap: otherwise it continues and drains its battery. */
  async stop() {
    clearTimeout(this.waiting);
    try {
      await this.#control?.writeValueWithResponse(new Uint8Array(STOP_ECG));
    } catch {
      /* the strap has disconnected already */
    }
    this.device?.gatt.disconnect();
  }

  #frame(view) {
    clearTimeout(this.waiting);
    try {
      this.#tell("frame", { ...decodeFrame(view), receivedMs: Date.now() });
    } catch (error) {
      this.#tell("problem", error.message);
    }
  }

  /** Write an order to the control point and wait for its answer, F0 order kind status. */
  async #answered(order) {
    const answer = new Promise((resolve) => {
      this.#control.addEventListener(
        "characteristicvaluechanged",
        ({ target }) => resolve(target.value),
        { once: true },
      );
    });
    await this.#control.startNotifications();
    await this.#control.writeValueWithResponse(new Uint8Array(order));
    const status = (await answer).getUint8(3);
    if (status !== SUCCESS && status !== ALREADY)
      throw new Error(`The strap refuses: ${ERRORS[status] ?? `status ${status}`}.`);
  }

  async #beside(server, service, name, take, read = false) {
    try {
      const characteristic = await (await server.getPrimaryService(service)).getCharacteristic(
        name,
      );
      if (read) take(await characteristic.readValue());
      await this.#listen(characteristic, take);
    } catch {
      /* a strap without it still has ECG */
    }
  }

  async #listen(characteristic, take) {
    characteristic.addEventListener(
      "characteristicvaluechanged",
      ({ target }) => take(target.value),
      { signal: this.ending.signal },
    );
    await characteristic.startNotifications();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

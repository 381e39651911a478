// A navigator.bluetooth that speaks a Polar H10's bytes (docs/devices.md), for tests of the phone's page. Not a radio: no pairing, no range.
(() => {
  const given = JSON.parse(sessionStorage.getItem("fake-h10") ?? "{}");
  const RATE = given.rate ?? 128.4, SAMPLES = 73, CUT = given.cut ?? 0;
  const begunMs = Date.now(), OFF_NS = 599616023171427290n; // 2019-01-01 by the strap's clock, ns since 2000
  class Characteristic extends EventTarget {
    async startNotifications() { this.on = true; return this; }
    async readValue() { return this.value; }
    tell(bytes) { this.value = new DataView(Uint8Array.from(bytes).buffer); if (this.on) this.dispatchEvent(new Event("characteristicvaluechanged")); }
  }
  class Control extends Characteristic {
    async readValue() { return new DataView(Uint8Array.from([0x0f, 0x05, ...Array(15).fill(0)]).buffer); }
    async writeValueWithResponse(order) {
      window.h10.orders.push([...order].map((byte) => byte.toString(16).padStart(2, "0")).join(" "));
      const already = order[0] === 2 && window.h10.streaming;
      window.h10.streaming = order[0] === 2;
      setTimeout(() => this.tell([0xf0, order[0], order[1], already ? 6 : 0, 0]));
    }
  }
  const control = new Control(), data = new Characteristic(), rate = new Characteristic(), battery = new Characteristic();
  battery.value = new DataView(Uint8Array.from([93]).buffer);
  const of = { 0: { 1: control, 2: data }, heart_rate: { heart_rate_measurement: rate }, battery_service: { battery_level: battery } };
  const short = (uuid) => uuid.startsWith("fb005c8") ? uuid[7] : uuid;
  const service = (uuid) => ({ getCharacteristic: async (name) => of[short(uuid)][short(name)] });
  const device = Object.assign(new EventTarget(), { name: "Polar H10 12345678" });
  device.gatt = {
    connect: async () => { if (window.h10.away) throw new Error("out of reach"); return { getPrimaryService: async (uuid) => service(uuid) }; },
    disconnect: () => { window.h10.streaming = false; },
  };
  let sent = 0; // samples
  const heart = (t) => Math.round(1000 * Math.exp(-(((t % 0.8) - 0.4) ** 2) / 2 / 0.012 ** 2) + 100 * Math.sin(2 * Math.PI * t));
  window.h10 = {
    orders: [], streaming: false, away: false,
    lose() { this.away = true; this.streaming = false; device.dispatchEvent(new Event("gattserverdisconnected")); },
  };
  setInterval(() => {
    const due = Math.floor(((Date.now() - begunMs) / 1000) * RATE);
    while (sent + SAMPLES <= due) {
      const bytes = [];
      for (let k = 0; k < SAMPLES; k++) { const v = heart((sent + k) / RATE); bytes.push(v & 255, (v >> 8) & 255, (v >> 16) & 255); }
      sent += SAMPLES;
      if (!window.h10.streaming) continue;
      const head = new DataView(new ArrayBuffer(10));
      head.setBigUint64(1, OFF_NS + BigInt(Math.round(((sent - 1) / RATE) * 1e9)), true);
      const frame = [...new Uint8Array(head.buffer), ...bytes];
      data.tell(CUT ? frame.slice(0, CUT) : frame);
      rate.tell([0x16, 75, 0x00, 0x03]);
    }
  }, 50);
  Object.defineProperty(navigator, "bluetooth", { value: given.none ? undefined : { requestDevice: async () => device }, configurable: true });
})();

// Send the spool to the ingest server, oldest first, a WebSocket per stream; acknowledged chunks leave the spool.

import { packChunks, unpack } from "./pack.js";

const BATCH = 60,
  AGAIN_MS = 2000;
const ALIVE_MS = 15_000; // the server closes a socket that is silent for 30 s

/** Events: "state" with a text for the person; "over" when the server refuses this device's samples for good. */
export class Sender extends EventTarget {
  #socket = null;
  #sentKey = 0; // of the newest chunk sent on this socket
  #sent = []; // [key, index behind its last sample], waiting for the server's acknowledgement
  #stream = "";
  #running = false;
  #busy = false;

  constructor(spool, token) {
    super();
    Object.assign(this, { spool, token });
    setInterval(() => {
      if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(new Uint8Array());
    }, ALIVE_MS);
  }

  start() {
    this.#running = true;
    this.pump();
  }

  stop() {
    this.#running = false;
    this.#close();
  }

  /** Send all waiting chunks. Called after every chunk that is put into the spool. */
  async pump() {
    if (!this.#running || this.#busy) return;
    this.#busy = true;
    try {
      const waiting = await this.spool.after(this.#sentKey, BATCH);
      if (!waiting.length) return;
      const stream = waiting[0][1].stream;
      if (stream !== this.#stream || !this.#socket) {
        if (!this.#sent.length) this.#open(stream); // otherwise the earlier stream is finished first
        return;
      }
      if (this.#socket.readyState !== WebSocket.OPEN) return;
      const mine = waiting.filter(([, chunk]) => chunk.stream === stream);
      this.#socket.send(packChunks(mine.map(([, chunk]) => chunk)));
      for (const [key, { first, samples }] of mine) this.#sent.push([key, first + samples.length]);
      this.#sentKey = mine.at(-1)[0];
      setTimeout(() => this.pump());
    } finally {
      this.#busy = false;
    }
  }

  #open(stream) {
    this.#close();
    this.#stream = stream;
    const url = new URL(`/api/ingest/v1/streams/${stream}/socket`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, ["ecgwatch.v1", `bearer.${this.token}`]);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#say("Sending to the ward.");
      this.pump();
    };
    socket.onmessage = ({ data }) => this.#hear(unpack(data));
    socket.onclose = ({ code }) => {
      if (socket !== this.#socket) return;
      this.#close();
      if (code === 4401) return this.#over("This token is not good any more. Ask for a new one.");
      this.#say("No connection to the ward: samples are kept here and sent later.");
      setTimeout(() => this.pump(), AGAIN_MS);
    };
  }

  async #hear(reply) {
    if (reply.next_sample !== undefined && reply.next_sample !== null)
      await this.#acknowledged(reply.next_sample);
    if (reply.status === 429) this.#say("The ward is busy: samples are kept here and sent later.");
    if (reply.status === 409 || reply.status === 422 || reply.released) await this.#refused(reply);
  }

  async #acknowledged(next) {
    let last = 0;
    while (this.#sent.length && this.#sent[0][1] <= next) last = this.#sent.shift()[0];
    if (!last) return;
    await this.spool.drop(last);
    this.dispatchEvent(new CustomEvent("acknowledged"));
    this.pump();
  }

  /** Drop chunks that the server refuses for good; the page begins a new stream with later ones. */
  async #refused(reply) {
    const last = (await this.spool.after(0, 100_000))
      .filter(([, chunk]) => chunk.stream === this.#stream)
      .at(-1);
    if (last) await this.spool.drop(last[0]);
    const stream = this.#stream;
    this.#close();
    this.dispatchEvent(new CustomEvent("refused", { detail: { stream } }));
    this.#say(
      reply.released
        ? `The ward has ended this stream: ${reply.released}.`
        : `The ward refuses: ${reply.problem}. ${reply.remedy ?? ""}`,
    );
    setTimeout(() => this.pump(), AGAIN_MS);
  }

  #close() {
    const socket = this.#socket;
    this.#socket = null;
    this.#stream = "";
    this.#sent = [];
    this.#sentKey = 0; // unacknowledged chunks are sent again
    socket?.close();
  }

  #over(text) {
    this.#running = false;
    this.#say(text);
  }

  #say(text) {
    this.dispatchEvent(new CustomEvent("state", { detail: text }));
  }
}

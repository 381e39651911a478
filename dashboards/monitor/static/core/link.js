// The WebSocket to the server: reconnects automatically, and counts as lost when the server's sign of life (once a second) is missing.

const SILENCE_MS = 3000;
const SIGN_IN = 4401; // the server's close code for a missing session
const RETRY_MS = [300, 600, 1200, 2500];

export class Link {
  #socket = null;
  #watched = [];
  #heardAt = 0;
  #tries = 0;
  #connected = false;

  /** handlers: {frame(ArrayBuffer), message(object), connected(boolean), refused()}: refused is called if a person must sign in */
  constructor(handlers) {
    this.handlers = handlers;
    this.#open();
    this.timer = setInterval(() => this.#check(), 250);
  }

  /** Close the link for good. */
  close() {
    clearInterval(this.timer);
    this.closed = true;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onclose = socket.onmessage = null;
      socket.close();
    }
  }

  get connected() {
    return this.#connected;
  }

  /** Ask the server for exactly these patients. */
  watch(ids) {
    this.#watched = ids;
    if (this.#socket?.readyState === WebSocket.OPEN)
      this.#socket.send(JSON.stringify({ watch: ids }));
  }

  #open() {
    if (this.closed) return;
    const socket = new WebSocket(
      `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`,
    );
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#tries = 0;
      this.watch(this.#watched);
    };
    socket.onmessage = ({ data }) => this.#take(socket, data);
    socket.onclose = ({ code }) => {
      if (code === SIGN_IN) this.handlers.refused();
      else this.#lost(socket);
    };
  }

  #take(socket, data) {
    if (socket !== this.#socket) return;
    this.#heardAt = performance.now();
    this.#set(true);
    if (typeof data === "string") this.handlers.message(JSON.parse(data));
    else this.handlers.frame(data);
  }

  #check() {
    const silent = performance.now() - this.#heardAt > SILENCE_MS;
    if (silent && this.#socket && this.#socket.readyState <= WebSocket.OPEN)
      this.#lost(this.#socket);
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    socket.onclose = socket.onmessage = null;
    socket.close();
    this.#set(false);
    setTimeout(() => this.#open(), RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)]);
  }

  #set(connected) {
    if (connected === this.#connected) return;
    this.#connected = connected;
    this.handlers.connected(connected);
  }
}

// Unacknowledged chunks in this browser's IndexedDB, where they survive a reload and a night without network.

const MOST = 4 * 3600 * 2; // chunks of half a second: four hours
const promised = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export class Spool {
  async open() {
    const request = indexedDB.open("ecgwatch-spool", 1);
    request.onupgradeneeded = () =>
      request.result.createObjectStore("chunks", { autoIncrement: true });
    this.db = await promised(request);
    this.count = await promised(this.#store("readonly").count());
    this.lost = 0;
    return this;
  }

  /** Keep a chunk; if there are too many, the oldest is dropped and will be missing. */
  async put(chunk) {
    await promised(this.#store("readwrite").add(chunk));
    this.count++;
    if (this.count > MOST) {
      const cursor = await promised(this.#store("readwrite").openCursor());
      if (cursor) {
        await promised(cursor.delete());
        this.count--;
        this.lost++;
      }
    }
  }

  /** The oldest chunks whose key is greater than this one: [[key, chunk]]. */
  async after(key, most) {
    const range = IDBKeyRange.lowerBound(key, true),
      store = this.#store("readonly");
    const [keys, chunks] = await Promise.all([
      promised(store.getAllKeys(range, most)),
      promised(store.getAll(range, most)),
    ]);
    return keys.map((found, k) => [found, chunks[k]]);
  }

  /** Remove all chunks up to the key. */
  async drop(key) {
    await promised(this.#store("readwrite").delete(IDBKeyRange.upperBound(key)));
    this.count = await promised(this.#store("readonly").count());
  }

  #store(mode) {
    return this.db.transaction("chunks", mode).objectStore("chunks");
  }
}

// Requests to the server; a refusal is thrown as Refused, with the problem and the remedy in words.

export class Refused extends Error {
  constructor(status, { problem, remedy } = {}) {
    super([sentence(problem ?? `The server answered ${status}`), remedy].filter(Boolean).join(" "));
    this.status = status;
  }
}

const AGAIN_MS = 400;

const sentence = (text) =>
  text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

const away = () => new Refused(0, { problem: "The monitor's server does not answer." });

/** A request that only reads is repeated once if the network failed: the device may have changed networks. */
async function ask(path, options = {}) {
  const again = async () => {
    await new Promise((resolve) => {
      setTimeout(resolve, AGAIN_MS);
    });
    return fetch(path, options);
  };
  const answer = await fetch(path, options)
    .catch((failed) => {
      if (options.method) throw failed;
      return again();
    })
    .catch(() => {
      throw away();
    });
  if (answer.ok) return answer;
  if (answer.status === 401 && path !== "/api/session")
    document.dispatchEvent(new CustomEvent("signed-out"));
  throw new Refused(answer.status, await answer.json().catch(() => undefined));
}

export const getJson = async (path, options) => (await ask(path, options)).json();

export async function send(method, path, body) {
  const answer = await ask(path, {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return answer.json().catch(() => ({}));
}

/** Blocks of samples: {t0, fs, countsPerMv, values} or, as an envelope, {t0, dt, countsPerMv, values} with pairs of (min, max). */
export async function getBlocks(path, options) {
  const buffer = await (await ask(path, options)).arrayBuffer();
  const view = new DataView(buffer),
    blocks = [];
  for (let at = 0; at < buffer.byteLength; ) {
    const length = view.getUint32(at, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, at + 4, length)));
    at += 4 + length;
    const count = head.n * (head.envelope ? 2 : 1);
    const values = new Int16Array(buffer.slice(at, at + 2 * count)); // a header's length may be odd
    at += 2 * count;
    blocks.push({
      t0: head.t0,
      fs: head.fs,
      dt: head.dt_ms ?? 1000 / head.fs,
      countsPerMv: head.counts_per_mv,
      envelope: Boolean(head.envelope),
      values,
    });
  }
  return blocks;
}

/** The path of a patient's resource, with a query. */
export function patientPath(id, what, query = {}) {
  const given = Object.entries(query)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join("&");
  return `/api/patients/${encodeURIComponent(id)}/${what}${given ? `?${given}` : ""}`;
}

/** A period, in whole milliseconds, as the server's query expects it. */
export const period = (from, to) => ({
  from: Math.max(0, Math.floor(from)),
  to: Math.max(0, Math.floor(to)),
});

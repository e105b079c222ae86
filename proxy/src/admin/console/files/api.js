// How usher is asked. The token stays in this tab; it is a header of each request and nothing else sends it.

const PLACE = "usher-token";
/** Longest wait for what is shown and for what is done, in milliseconds: a move may take its time. */
const READ = 20000;
const CHANGE = 120000;

export const token = {
  get: () => sessionStorage.getItem(PLACE),
  set: (value) => sessionStorage.setItem(PLACE, value),
  clear: () => sessionStorage.removeItem(PLACE),
};

/** What usher answered instead of doing it. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The headers of every request. */
export function headers() {
  // A browser that acts for another page cannot send this one.
  const all = { "X-Usher-Console": "1" };
  if (token.get()) all.Authorization = `Bearer ${token.get()}`;
  return all;
}

async function send(method, path, body) {
  const signal = AbortSignal.timeout(method === "GET" ? READ : CHANGE);
  const options = { method, headers: headers(), cache: "no-store", signal };
  if (body !== undefined) options.body = JSON.stringify(body);
  let response, text;
  try {
    response = await fetch(path, options);
    text = await response.text();
  } catch (error) {
    throw new Refused(0, error.name === "TimeoutError" ? "usher does not answer" : "usher cannot be reached");
  }
  if (response.ok) return text;
  throw new Refused(response.status, problem(text) ?? `usher answered with status ${response.status}`);
}

/** What is wrong, as usher says it: a problem, or the faults of a configuration. */
function problem(text) {
  try {
    const said = JSON.parse(text);
    return said.error ?? said.faults;
  } catch {
    return undefined;
  }
}

function read(text) {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    throw new Refused(0, "the answer is not usher's; is there a proxy in between?");
  }
}

export const get = async (path) => read(await send("GET", path));
export const change = async (method, path, body) => read(await send(method, path, body));

/** A path with its parameters; those without a value are left out. */
export function path(base, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== undefined);
  const query = new URLSearchParams(given).toString();
  return query ? `${base}?${query}` : base;
}

// What is live: usher's pulse, and the rows of hosts and members, as usher sends them.

import { headers } from "./api.js";

/** As many as usher remembers, one every five seconds. */
const POINTS = 60;
const STEP = 5000;
const LONGEST_WAIT = 10000;
/** usher says something every second: after so long, nobody is there any more. */
const SILENCE = 6000;

/** Follows while the page is seen, and calls `told` after each piece of news. */
export class Feed {
  pulse = undefined;
  /** By `array/name`. */
  rows = new Map();
  /** `connecting`, `live`, `lost`, or `refused`. */
  state = "connecting";
  /** Why it is refused. */
  problem = "";

  constructor(told) {
    this.told = told;
    this.sampled = Date.now();
    // A browser has few connections for one place, and nobody looks at what is hidden.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.stop?.abort() : this.restart()));
    this.restart();
  }

  /** Begins anew, with the token as it is now. */
  restart() {
    this.stop?.abort();
    this.stop = new AbortController();
    if (!document.hidden) this.follow(this.stop.signal);
  }

  /** Forgets what it knows. */
  clear() {
    this.pulse = undefined;
    this.rows.clear();
    this.state = "connecting";
  }

  async follow(signal) {
    let wait = 500;
    while (!signal.aborted) {
      try {
        const response = await fetch("v1/events", { headers: headers(), signal, cache: "no-store" });
        if (response.status === 401) {
          // Nothing gets better by waiting.
          this.clear();
          return this.say("refused", "Sign in to see how usher is.");
        }
        if (response.ok) {
          wait = 500;
          await this.read(response.body, signal);
        } else {
          this.problem = (await response.json()).error;
        }
      } catch {
        // Whatever broke, it is tried again below.
      }
      if (signal.aborted) return;
      this.say("lost", this.problem);
      await new Promise((done) => setTimeout(done, wait));
      wait = Math.min(wait * 2, LONGEST_WAIT);
    }
  }

  say(state, problem = "") {
    [this.state, this.problem] = [state, problem];
    this.told();
  }

  async read(body, signal) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let isFirst = true;
    for (;;) {
      const { done, value } = await within(SILENCE, reader.read());
      if (done || signal.aborted) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        if (!event.startsWith("data:")) continue;
        // The first one has everything.
        if (isFirst) this.rows.clear();
        isFirst = false;
        this.take(JSON.parse(event.slice(5)));
      }
    }
  }

  take({ pulse, rows, gone }) {
    this.pulse = pulse;
    for (const row of rows) {
      const key = `${row.array ?? ""}/${row.name}`;
      row.key = key;
      row.history ??= this.rows.get(key)?.history ?? [];
      this.rows.set(key, row);
    }
    for (const key of gone) this.rows.delete(key);
    if (Date.now() - this.sampled >= STEP) {
      this.sampled = Date.now();
      for (const row of this.rows.values()) row.history = [...row.history, row.sessions].slice(-POINTS);
    }
    this.say("live");
  }
}

/** What `promise` comes to, unless that takes longer. */
function within(time, promise) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error("silence")), time);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

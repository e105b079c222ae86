// What is live: usher's pulse, and the rows of hosts and members, as usher sends them.

import { headers, token } from "./api.js";

/** As many as usher remembers, one every five seconds. */
const POINTS = 60;
const STEP = 5000;
const LONGEST_WAIT = 10000;

/** Follows until it is closed, and calls `told` after each piece of news. */
export class Feed {
  pulse = undefined;
  /** By `array/name`. */
  rows = new Map();
  connected = false;
  /** The status with which usher refused to be followed. */
  refused = 0;

  constructor(told) {
    this.told = told;
    this.sampled = Date.now();
    this.restart();
  }

  /** Begins anew, with the token as it is now. */
  restart() {
    this.stop?.abort();
    this.stop = new AbortController();
    this.follow(this.stop.signal);
  }

  async follow(signal) {
    let wait = 500;
    while (!signal.aborted) {
      try {
        const response = await fetch("v1/events", { headers: headers(), signal, cache: "no-store" });
        this.refused = response.ok ? 0 : response.status;
        if (response.ok) {
          wait = 500;
          await this.read(response.body);
        }
      } catch {
        // Whatever broke, it is tried again below.
      }
      if (signal.aborted) return;
      this.connected = false;
      this.told();
      // Without a token that usher takes, nothing gets better by waiting.
      if (this.refused === 401 && !token.get()) return;
      await new Promise((done) => setTimeout(done, wait));
      wait = Math.min(wait * 2, LONGEST_WAIT);
    }
  }

  async read(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let isFirst = true;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
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
    this.connected = true;
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
    this.told();
  }
}

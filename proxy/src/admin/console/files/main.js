// The frame around all pages: where one is, who one is, and what has just happened.

import { Refused, change, get, token } from "./api.js";
import { Feed } from "./feed.js";
import { ask, duration, html, nothing, number, render } from "./parts.js";
import { Fleet } from "./fleet.js";
import { Host } from "./host.js";
import { User } from "./user.js";
import { Sessions } from "./sessions.js";
import { Directory } from "./directory.js";
import { Certificates } from "./certificates.js";
import { Changes } from "./changes.js";
import { Configuration } from "./configuration.js";

/** By the first word of the address; what is not in the menu is reached from other pages. */
const PAGES = {
  hosts: [Fleet, "Hosts"],
  host: [Host],
  users: [User, "Users"],
  sessions: [Sessions, "Sessions"],
  directory: [Directory, "Directory"],
  certificates: [Certificates, "Certificates"],
  changes: [Changes, "Changes"],
  configuration: [Configuration, "Configuration"],
};
/** How often a page asks again for what is not sent by itself. */
const AGAIN = 2000;

const place = document.getElementById("console");

class Console {
  me = undefined;
  notice = "";
  isBad = false;
  isPaused = false;
  /** Counts what is asked for: what was asked before is not shown when it comes. */
  turn = 0;

  constructor() {
    this.feed = new Feed(() => this.isPaused || this.draw());
    addEventListener("hashchange", () => this.go());
    document.addEventListener("visibilitychange", () => document.hidden || this.know());
    setInterval(() => this.isPaused || this.isLoading || this.refresh(), AGAIN);
    this.know();
    this.go(true);
  }

  /** Whether whoever looks may change things. */
  get mayChange() {
    return this.me?.role === "operator";
  }

  /** Asks who one is. */
  async know() {
    try {
      this.me = await get("v1/me");
    } catch (error) {
      this.me = undefined;
      // A token that is refused does not get better.
      if (error.status === 401) token.clear();
      else this.tell(error.message, true);
    }
    this.draw();
  }

  go(isFirst = false) {
    const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
    this.at = Object.hasOwn(PAGES, name) ? name : "hosts";
    const [Page, title] = PAGES[this.at];
    this.page = new Page(this, rest.map(decoded));
    document.title = `${this.page.title ?? title} – usher`;
    this.notice = "";
    this.refresh();
    this.draw();
    // The page before this one may have been of the same kind.
    document.querySelectorAll("main form").forEach((form) => form.reset());
    // Whoever cannot see it hears that the page is another one.
    if (!isFirst) document.querySelector("h1")?.focus();
  }

  async refresh() {
    if (!this.page.load || document.hidden || this.me === undefined && this.page.problem) return;
    const [page, turn] = [this.page, ++this.turn];
    this.isLoading = true;
    try {
      const loaded = await page.load();
      if (turn !== this.turn) return;
      Object.assign(page, loaded, { problem: "" });
    } catch (error) {
      if (turn !== this.turn) return;
      page.problem = error.status === 401 ? "Sign in to see this." : error.message ?? String(error);
      if (error.status === 401) this.know();
    }
    this.isLoading = false;
    this.draw();
  }

  tell(notice, isBad = false) {
    [this.notice, this.isBad] = [notice, isBad];
    this.draw();
  }

  /** Makes a change, and says what was done. */
  async does(what, method, path, body) {
    const answer = await change(method, path, body);
    this.tell(typeof what === "function" ? what(answer) : what);
    this.refresh();
    return answer;
  }

  signIn() {
    ask({
      title: "Sign in",
      text: "With a token from [admin] token_file or reader_token_file. It is kept in this tab only.",
      fields: html`<label>Token <input name="token" type="password" required autocomplete="off" autofocus></label>`,
      button: "Sign in",
      act: async (values) => {
        token.set(values.token.trim());
        let me;
        try {
          me = await get("v1/me");
        } catch (error) {
          token.clear();
          throw error.status === 401 ? new Refused(401, "usher does not know this token") : error;
        }
        if (!me.is_known) {
          token.clear();
          throw new Refused(401, "usher does not know this token");
        }
        this.me = me;
        this.feed.restart();
        this.go(true);
        this.tell(`Signed in; you may ${this.mayChange ? "read and change" : "read"}.`);
      },
    });
  }

  signOut() {
    token.clear();
    this.me = undefined;
    // What somebody may have seen is not for whoever comes next.
    this.feed.clear();
    this.feed.restart();
    this.go(true);
    this.know();
  }

  who() {
    const role = this.me ? (this.mayChange ? "operator" : "reader") : "not signed in";
    const pause = () => {
      this.isPaused = !this.isPaused;
      this.draw();
    };
    return html`<button id="pause" aria-pressed=${this.isPaused} @click=${pause}>Pause</button>
      <span id="role">${this.me?.name ? `${this.me.name}, ${role}` : role}</span>
      ${token.get()
        ? html`<button id="sign-out" @click=${() => this.signOut()}>Sign out</button>`
        : this.mayChange ? nothing : html`<button id="sign-in" @click=${() => this.signIn()}>Sign in</button>`}`;
  }

  /** What is wrong with all of it, in words; empty: nothing. */
  trouble() {
    const { pulse, state, problem } = this.feed;
    if (state === "refused") return problem;
    if (state === "lost") return `No connection to usher; trying again. ${problem}`;
    if (pulse?.stopping) return "usher is stopping.";
    if (pulse?.checker_suspected) {
      return "Most hosts time out at once, so usher suspects its own network: their last good state is kept.";
    }
    return "";
  }

  pulse() {
    const { pulse } = this.feed;
    if (!pulse) return nothing;
    const tile = (name, value, id) => html`<div><dt>${name}</dt><dd id=${id}>${value}</dd></div>`;
    return html`<dl class="tiles">
        ${tile("Sessions", number(pulse.sessions), "pulse-sessions")}
        ${tile("Connections", number(pulse.connections), "pulse-connections")}
        ${tile("Logins and requests", `${number(pulse.rate)}/s`, "pulse-rate")}
        ${tile("Waiting logins", number(pulse.held_logins), "pulse-waiting")}
        ${tile("Users on hold", number(pulse.moving), "pulse-moving")}
        ${tile("Up for", duration(pulse.uptime_seconds), "pulse-uptime")}
      </dl>`;
  }

  draw() {
    if (!this.page) return;
    const menu = Object.entries(PAGES).filter(([, [, title]]) => title);
    const isHere = (name) => name === this.at || (name === "hosts" && this.at === "host");
    // What is said here is heard because the place was there before.
    const said = (id, text, isBad) => html`<div role="status" id=${id} class=${text ? `notice ${isBad ? "bad" : ""}` : ""}>${text}</div>`;
    render(html`<a class="skip" href="#main" @click=${(event) => {
        event.preventDefault();
        document.querySelector("h1")?.focus();
      }}>To the page</a>
      <header>
        <span class="name">usher</span>
        <nav aria-label="Pages"><ul>${menu.map(([name, [, title]]) => html`<li>
          <a href="#/${name}" aria-current=${isHere(name) ? "page" : nothing}>${title}</a></li>`)}</ul></nav>
        <span class="who">${this.who()}</span>
      </header>
      <main id="main">
        ${said("notice", this.notice, this.isBad)}
        <h1 tabindex="-1">${this.page.title ?? PAGES[this.at][1]}</h1>
        ${said("trouble", this.trouble(), true)}
        ${this.pulse()}
        ${said("problem", this.page.problem ?? "", true)}
        ${this.page.render()}
      </main>`, place);
  }
}

/** A part of the address as it was meant; one that nobody could have meant stays as it is. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

new Console();

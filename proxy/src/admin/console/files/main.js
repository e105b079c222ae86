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

  constructor() {
    this.feed = new Feed(() => this.draw());
    addEventListener("hashchange", () => this.go());
    setInterval(() => this.refresh(), AGAIN);
    this.know();
    this.go();
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
      if (error.status !== 401) this.tell(error.message, true);
    }
    this.draw();
  }

  go() {
    const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
    this.at = PAGES[name] ? name : "hosts";
    const [Page, title] = PAGES[this.at];
    this.page = new Page(this, rest.map(decodeURIComponent));
    document.title = `${this.page.title ?? title} – usher`;
    this.notice = "";
    this.refresh();
    this.draw();
    // Whoever cannot see it hears that the page is another one.
    document.querySelector("h1")?.focus();
  }

  async refresh() {
    if (!this.page.load || document.hidden) return;
    const page = this.page;
    try {
      await page.load();
      page.problem = "";
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      page.problem = error.status === 401 ? "Sign in to see this." : error.message;
    }
    if (page === this.page) this.draw();
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
        const former = token.get();
        token.set(values.token.trim());
        const me = await get("v1/me").catch((error) => error);
        if (!me.is_known) {
          former ? token.set(former) : token.clear();
          throw new Refused(401, "usher does not know this token");
        }
        this.me = me;
        this.feed.restart();
        this.refresh();
        this.tell(`Signed in; you may ${this.mayChange ? "read and change" : "read"}.`);
      },
    });
  }

  signOut() {
    token.clear();
    this.feed.restart();
    this.know();
    this.refresh();
  }

  who() {
    const role = this.me ? (this.mayChange ? "operator" : "reader") : "not signed in";
    return html`<span id="role">${this.me?.name ? `${this.me.name}, ${role}` : role}</span>
      ${token.get()
        ? html`<button id="sign-out" @click=${() => this.signOut()}>Sign out</button>`
        : this.mayChange ? nothing : html`<button id="sign-in" @click=${() => this.signIn()}>Sign in</button>`}`;
  }

  pulse() {
    const { pulse, connected, refused } = this.feed;
    if (refused === 401) return html`<p class="notice bad" role="status">Sign in to see how usher is.</p>`;
    if (!connected) return html`<p class="notice bad" role="status">No connection to usher; trying again.</p>`;
    const tile = (name, value, id) => html`<div><dt>${name}</dt><dd id=${id}>${value}</dd></div>`;
    return html`${pulse.stopping ? html`<p class="notice bad" role="status">usher is stopping.</p>` : nothing}
      ${pulse.checker_suspected ? html`<p class="notice bad" role="status">Most hosts time out at once, so usher
        suspects its own network: their last good state is kept.</p>` : nothing}
      <dl class="tiles">
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
        <div role="status" id="notice" class=${this.notice ? `notice ${this.isBad ? "bad" : ""}` : ""}>${this.notice}</div>
        <h1 tabindex="-1">${this.page.title ?? PAGES[this.at][1]}</h1>
        ${this.pulse()}
        ${this.page.problem ? html`<p class="notice bad" role="status">${this.page.problem}</p>` : nothing}
        ${this.page.render()}
      </main>`, place);
  }
}

new Console();

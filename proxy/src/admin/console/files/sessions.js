// Who is there now.

import { get, path } from "./api.js";
import { ask, count, duration, html, nothing, number, table } from "./parts.js";

const PAGE = 100;
const FIELDS = { user: "User", host: "Host", client: "Address or network", protocol: "Protocol" };

/** The columns of a table of sessions. */
export function columns(shell) {
  const kick = (session) => () => ask({
    title: "End this session",
    text: `Of ${session.user || "somebody"} by ${session.protocol} from ${session.client}, ${session.id}; with a goodbye between two
      responses where possible.`,
    button: "End it",
    isDanger: true,
    act: () => shell.does(({ count }) => `${number(count)} ended.`, "DELETE", path("v1/sessions", { id: session.id })),
  });
  return [
    ["User", (session) => (session.user ? html`<a href="#/users/${encodeURIComponent(session.user)}">${session.user}</a>` : nothing)],
    ["Host", (session) => (session.host ? html`<a href="#/host/${encodeURIComponent(session.host)}">${session.host}</a>` : nothing)],
    ["Protocol", (session) => session.protocol],
    ["Client", (session) => session.client],
    ["TLS", (session) => session.tls],
    ["Doing", (session) => session.doing],
    ["For", (session) => duration(session.seconds), true],
    ["Quiet for", (session) => duration(session.idle_seconds), true],
    ...(shell.mayChange ? [["Actions", (session) => html`<button class="danger" data-do="kick" data-user=${session.user}
      aria-label="End the session of ${session.user || session.client}" @click=${kick(session)}>End</button>`]] : []),
  ];
}

export class Sessions {
  filter = { user: "", host: "", client: "", protocol: "" };
  /** The ids after which the pages before this one began. */
  before = [];
  after = "";
  found = { matching: 0, sessions: [] };
  /** The filter that `found` is by. */
  asked = {};

  constructor(shell, [key, value]) {
    this.shell = shell;
    if (key in this.filter) this.filter[key] = value;
  }

  async load() {
    const filter = { ...this.filter };
    return { found: await get(path("v1/sessions", { ...filter, after: this.after, limit: PAGE })), asked: filter };
  }

  show(after, before) {
    [this.after, this.before] = [after, before];
    this.shell.refresh();
  }

  render() {
    const { found: { matching, sessions }, asked } = this;
    const isFiltered = Object.values(this.asked).some((value) => value !== "");
    const input = (name) => name === "protocol"
      ? html`<select name=${name}><option value="">all</option>${["imap", "imaps", "https", "tcp"].map((protocol) =>
          html`<option value=${protocol} ?selected=${this.filter.protocol === protocol}>${protocol}</option>`)}</select>`
      : html`<input name=${name} value=${this.filter[name]}>`;
    const search = (event) => {
      event.preventDefault();
      Object.assign(this.filter, Object.fromEntries(new FormData(event.target)));
      this.show("", []);
    };
    const kick = () => ask({
      title: `End ${count(matching, "session")}`,
      text: `All that match: ${Object.entries(asked).filter(([, value]) => value).map((pair) => pair.join(" ")).join(", ")}.
        Logins that wait for their host are none yet.`,
      button: "End them",
      isDanger: true,
      act: () => this.shell.does(({ count }) => `${number(count)} ended.`, "DELETE", path("v1/sessions", asked)),
    });
    return html`<form class="filter" id="search" @submit=${search}>
        ${Object.entries(FIELDS).map(([name, title]) => html`<label>${title} ${input(name)}</label>`)}
        <button class="main">Show</button>
        ${this.shell.mayChange && isFiltered && matching ? html`<button type="button" class="danger" id="kick-all" @click=${kick}>
          End all that match</button>` : nothing}
      </form>
      ${table(html`<span id="matching">${number(matching)}</span> ${matching === 1 ? "session" : "sessions"}`, columns(this.shell), sessions)}
      <p class="actions">
        ${this.before.length ? html`<button @click=${() => this.show(this.before.at(-1), this.before.slice(0, -1))}>Back</button>` : nothing}
        ${sessions.length === PAGE ? html`<button id="next" @click=${() =>
          this.show(sessions.at(-1).id, [...this.before, this.after])}>Next</button>` : nothing}
      </p>`;
  }
}

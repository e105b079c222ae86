// One host, in all that it is: a machine may be an instance host and a member of arrays.

import { get, path } from "./api.js";
import { drain, facts, html, moment, nothing, number, shown, state, table } from "./parts.js";
import { actions } from "./fleet.js";
import { columns } from "./sessions.js";

const SESSIONS = 50;

export class Host {
  backends = [];
  sessions = undefined;

  constructor(shell, [name]) {
    Object.assign(this, { shell, name, title: name });
  }

  async load() {
    const backends = await get(`v1/hosts/${encodeURIComponent(this.name)}`);
    return { backends, sessions: await get(path("v1/sessions", { host: this.name, limit: SESSIONS })) };
  }

  render() {
    const services = [
      ["Service", (view) => view.service],
      ["Address", (view) => view.address],
      ["State", (view) => [state(view.state), view.share < 1 ? html`<div class="soft">takes ${Math.round(view.share * 100)} %</div>` : nothing]],
      ["Sessions", (view) => number(view.sessions), true],
      ["Last check", (view) => moment(view.checked_at)],
      ["Took", (view) => (view.check_seconds === null ? nothing : `${(view.check_seconds * 1000).toFixed(0)} ms`), true],
      ["Fault", (view) => view.fault ?? nothing],
      ["Certificate ends", (view) => moment(view.certificate_ends)],
    ];
    return html`${this.backends.map((backend) => html`<section>
        <h2>${backend.array ? `Member of ${backend.array}` : "Instance host"}</h2>
        ${actions(this.shell, backend)}
        ${drain(backend.drain)}
        ${facts([
          ["Sessions", `${number(backend.sessions)}${backend.max_sessions ? ` of ${number(backend.max_sessions)}` : ""}`],
          ["Defined in", backend.origin === "file" ? "the configuration" : "what was added at run time"],
          ["Weight", backend.array ? backend.weight : ""],
          ["Pins", backend.fingerprints.map((pin) => html`<div><code>${pin}</code></div>`)],
          ["Capabilities", backend.services.map((view) => view.capabilities ?? "").join(" ").trim()],
        ])}
        ${backend.holds.length ? table("Why it takes nobody new", [
          ["Hold", (hold) => hold.hold],
          ["Kind", (hold) => hold.kind],
          ["Since", (hold) => moment(hold.since)],
          ["By", (hold) => hold.by ?? nothing],
          ["Why", (hold) => hold.why ?? nothing],
        ], backend.holds) : nothing}
        ${table(`Services of ${shown(backend)}`, services, backend.services)}</section>`)}
      ${this.sessions ? html`<h2>Sessions</h2>
        ${table(`The oldest ${this.sessions.sessions.length} of ${number(this.sessions.matching)}`,
          columns(this.shell), this.sessions.sessions)}
        <p><a href="#/sessions/host/${encodeURIComponent(this.name)}">All of them</a></p>` : nothing}`;
  }
}

// One user: where their logins go and why, and what can be done about it.

import { get, path } from "./api.js";
import { ask, count, facts, html, moment, nothing, states, table } from "./parts.js";
import { columns } from "./sessions.js";

export class User {
  told = undefined;
  sessions = undefined;

  constructor(shell, [name]) {
    Object.assign(this, { shell, name: name ?? "" });
  }

  async load() {
    if (!this.name) return {};
    const told = await get(path("v1/explain", { user: this.name }));
    return { told, sessions: told.key && await get(path("v1/sessions", { user: told.key, limit: 100 })) };
  }

  actions() {
    const { key, moving, entry } = this.told;
    if (!this.shell.mayChange || !key) return nothing;
    const at = encodeURIComponent(key);
    const hosts = [...this.shell.feed.rows.values()].filter((row) => !row.array).map((row) => row.name).sort();
    const move = () => ask({
      title: `Move ${key}`,
      text: "Logins wait, sessions end, the directory changes, logins go on. The mail itself is copied by others.",
      fields: html`<label>To <input name="to" list="hosts" required autofocus></label>
        <datalist id="hosts">${hosts.map((host) => html`<option value=${host}></option>`)}</datalist>`,
      button: "Move",
      act: ({ to }) => this.shell.does(`${key} is on ${to} now.`, "POST", `v1/moves/${at}`, { to }),
    });
    const hold = () => ask({
      title: `Hold ${key}`,
      text: "Logins wait until the hold is released.",
      fields: html`<label>Why, for others to see <input name="why" maxlength="200" autofocus></label>`,
      button: "Hold",
      act: ({ why }) => this.shell.does(`${key} is on hold.`, "POST", `v1/directory/${at}/hold`, { why }),
    });
    const release = () => ask({
      title: `Release ${key}`,
      button: "Release",
      act: () => this.shell.does(`${key} is not on hold any more.`, "DELETE", `v1/directory/${at}/hold`),
    });
    const kick = () => ask({
      title: `End the sessions of ${key}`,
      text: "With a goodbye between two responses where possible.",
      button: "End them",
      isDanger: true,
      act: () => this.shell.does(({ count }) => `${count} ended.`, "DELETE", path("v1/sessions", { user: key })),
    });
    return html`<p class="actions">
      ${entry ? html`<button id="move" @click=${move}>Move</button>` : nothing}
      ${moving ? html`<button id="release" @click=${release}>Release</button>` : html`<button id="hold" @click=${hold}>Hold</button>`}
      <button id="kick" class="danger" @click=${kick}>End sessions</button></p>`;
  }

  render() {
    const search = (event) => {
      event.preventDefault();
      location.hash = `#/users/${encodeURIComponent(new FormData(event.target).get("user").trim())}`;
    };
    return html`<form class="filter" id="find" @submit=${search}>
        <label>User, as they type it <input name="user" type="search" required value=${this.name}></label>
        <button class="main">Find</button>
      </form>
      ${this.told ? this.found() : nothing}`;
  }

  found() {
    const { told } = this;
    return html`<h2>${told.key ?? told.typed}</h2>
      <p id="outcome">${told.outcome}</p>
      ${this.actions()}
      ${facts([
        ["Host", told.host && html`<a id="home" href="#/host/${encodeURIComponent(told.host.name)}">${told.host.name}</a> ${states(told.host)}`],
        ["Entry", told.entry && html`${told.entry.key}, set by ${told.entry.set_by} ${moment(told.entry.set_at)}`],
        ["Said by", told.source],
        ["Attributes", Object.entries(told.entry?.attributes ?? {}).map(([name, value]) => `${name}=${value}`).join(", ")],
        ["On hold", told.moving && html`by ${told.moving.by} ${moment(told.moving.since)}: ${told.moving.why}`],
        ["Access rule", told.rule],
        ["Failed logins", told.guessing.map((line) => html`<div>${line}</div>`)],
        ["Listeners", told.listeners.join(", ")],
      ])}
      ${this.sessions ? html`<h2>Sessions</h2>
        ${table(count(this.sessions.matching, "session"), columns(this.shell), this.sessions.sessions)}` : nothing}`;
  }
}

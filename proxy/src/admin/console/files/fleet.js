// All hosts and members.

import { ask, drain, html, nothing, number, severity, shown, sparkline, states, table } from "./parts.js";

/** Rows that are drawn unless all are asked for: a screen holds fewer. */
const FIRST = 100;

const ORDERS = {
  state: (one, other) => severity(one) - severity(other),
  sessions: (one, other) => other.sessions - one.sessions,
  rate: (one, other) => other.rate - one.rate,
  name: () => 0,
};

/** Why a backend takes nobody new, and what its checks last said. */
function why(row) {
  const holds = row.holds.map(({ hold, kind, by, why: reason }) => html`<div>${hold === "health" ? "" : `${hold}: ${kind}`}
    ${by ? `by ${by}` : ""} ${reason ?? ""}</div>`);
  const faults = row.services
    .filter((service) => service.fault && !row.holds.some((hold) => hold.why === service.fault))
    .map((service) => html`<div class="soft">${service.service}: ${service.fault}</div>`);
  return [...holds, ...faults];
}

/** What can be done with a host or member, for those who may. */
export function actions(shell, row) {
  if (!shell.mayChange) return nothing;
  const at = `v1/hosts/${encodeURIComponent(row.name)}`;
  const isHeld = row.holds.some(({ hold }) => hold === "operator" || hold === "boot");
  const end = (kind, title, text, isDanger, deadline = nothing) => () => ask({
    title,
    text,
    isDanger,
    button: title,
    fields: html`<label>Why, for others to see <input name="why" maxlength="200" autofocus></label>${deadline}`,
    act: ({ why: reason, deadline: seconds }) => shell.does(`${row.name}: ${kind} has begun.`, "POST", `${at}/${kind}`, {
      why: reason,
      ...(seconds ? { deadline_seconds: Number(seconds) } : {}),
    }),
  });
  const start = () => ask({
    title: `Start ${row.name}`,
    button: `Start ${row.name}`,
    act: () => shell.does(({ still_held_by: by }) => `${row.name} is started${by.length
      ? `, but still held by ${by.join(", ")}` : ""}.`, "POST", `${at}/start`),
  });
  return html`<div class="actions">
    ${isHeld ? html`<button data-do="start" data-host=${row.name} aria-label="Start ${row.name}" @click=${start}>Start</button>` : html`
    <button data-do="drain" data-host=${row.name} aria-label="Drain ${row.name}" @click=${end("drain", `Drain ${row.name}`,
      "It gets no new sessions; those that it has may finish, quiet ones first.", false,
      html`<label>End the remaining sessions after, in seconds; empty: as configured
        <input name="deadline" type="number" min="0" max="31536000"></label>`)}>Drain</button>`}
    <button class="danger" data-do="stop" data-host=${row.name} aria-label="Stop ${row.name}" @click=${end("stop", `Stop ${row.name}`,
      "It gets no new sessions, and those that it has end now.", true)}>Stop</button></div>`;
}

export class Fleet {
  filter = "";
  order = "state";
  showsAll = false;

  constructor(shell) {
    this.shell = shell;
  }

  /** While somebody points at the table or is in it, rows stay where they are. */
  keepStill(rows) {
    const isInUse = document.querySelector("main table:hover, main table:focus-within");
    if (isInUse && this.places) {
      const place = (row) => this.places.get(row.key) ?? Infinity;
      rows.sort((one, other) => place(one) - place(other) || 0);
    }
    this.places = new Map(rows.map((row, at) => [row.key, at]));
  }

  render() {
    const all = [...this.shell.feed.rows.values()];
    const wanted = this.filter.toLowerCase();
    const matching = all.filter((row) => !wanted || shown(row).toLowerCase().includes(wanted) || row.services.some(({ state }) => state === wanted));
    matching.sort((one, other) => ORDERS[this.order](one, other) || (shown(one) < shown(other) ? -1 : 1));
    this.keepStill(matching);
    const rows = this.showsAll ? matching : matching.slice(0, FIRST);
    const columns = [
      ["Name", (row) => html`<a href="#/host/${encodeURIComponent(row.name)}">${shown(row)}</a>`],
      ["State", (row) => [states(row), drain(row.drain)]],
      ["Sessions", (row) => `${number(row.sessions)}${row.max_sessions ? ` of ${number(row.max_sessions)}` : ""}`, true],
      ["Per second", (row) => number(row.rate), true],
      ["Last minutes", (row) => sparkline(row.history, shown(row))],
      ["Why", why],
      ...(this.shell.mayChange ? [["Actions", (row) => actions(this.shell, row)]] : []),
    ];
    const set = (key, value) => {
      this[key] = value;
      this.places = undefined;
      this.shell.draw();
    };
    return html`<form class="filter" @submit=${(event) => event.preventDefault()}>
        <label>Name or state <input id="filter" type="search" @input=${(event) => set("filter", event.target.value)}></label>
        <label>Order <select id="order" @change=${(event) => set("order", event.target.value)}>
          ${Object.keys(ORDERS).map((order) => html`<option value=${order}>${order}</option>`)}</select></label>
      </form>
      ${table(`${number(matching.length)} of ${number(all.length)} hosts and members`, columns, rows)}
      ${rows.length < matching.length ? html`<p><button id="all" @click=${() => set("showsAll", true)}>
        Show all ${number(matching.length)}</button></p>` : nothing}`;
  }
}

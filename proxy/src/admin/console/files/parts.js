// What several pages are made of.

import { html, nothing, render, svg } from "./lit-html/lit-html.js";
import { repeat } from "./lit-html/directives/repeat.js";
import { Refused } from "./api.js";

export { html, nothing, render };

/** The worst first. */
const STATES = ["unhealthy", "stopped", "draining", "drained", "held", "returning", "up"];
const LOOKS = { up: "good", returning: "fair", draining: "fair", drained: "fair", held: "fair" };

export const severity = (row) => Math.min(...row.services.map(({ state }) => STATES.indexOf(state)), STATES.length);
export const state = (name) => html`<span class="state ${LOOKS[name] ?? "bad"}">${name}</span>`;

/** The states of all services, in as few words as possible. */
export function states(row) {
  const names = new Set(row.services.map((service) => service.state));
  if (names.size === 1) return state(row.services[0].state);
  return row.services.map((service) => html`<div>${service.service} ${state(service.state)}</div>`);
}

export const shown = (row) => (row.array ? `${row.array}/${row.name}` : row.name);
export const number = (value) => (value ?? 0).toLocaleString("en");

/** So many of something, in English. */
export const count = (value, what) => `${number(value)} ${what}${value === 1 ? "" : "s"}`;

export function duration(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = units.findIndex(([size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [size, name] = units[at];
  const rest = units[at + 1] && Math.floor((seconds % size) / units[at + 1][0]);
  return `${Math.floor(seconds / size)} ${name}${rest ? ` ${rest} ${units[at + 1][1]}` : ""}`;
}

/** A moment, from seconds since 1970. */
export function moment(seconds) {
  if (seconds === null || seconds === undefined) return nothing;
  const then = new Date(seconds * 1000);
  const passed = Date.now() / 1000 - seconds;
  const near = passed >= 0 ? `${duration(passed)} ago` : `in ${duration(-passed)}`;
  return html`<time datetime=${then.toISOString()} title=${then.toLocaleString()}>${near}</time>`;
}

/** Sessions in the last minutes. */
export function sparkline(points, name) {
  if (points.length < 2) return nothing;
  const most = Math.max(...points, 1);
  const line = points.map((value, at) => `${(at * 100) / (points.length - 1)},${24 - (value * 22) / most}`);
  const label = `Sessions of ${name} in the last minutes: at most ${most}, now ${points.at(-1)}`;
  return html`<svg class="spark" viewBox="0 0 100 26" preserveAspectRatio="none" role="img" aria-label=${label}>
    ${svg`<polyline points=${line.join(" ")} />`}
  </svg>`;
}

/** How far a drain has come. */
export function drain(progress) {
  if (!progress || ["done", "cancelled"].includes(progress.phase)) return nothing;
  const { began_with: all, left, kind } = progress;
  const estimate = progress.estimate_seconds === null ? "" : `, about ${duration(progress.estimate_seconds)}`;
  return html`<progress max=${Math.max(all, 1)} value=${all - left} aria-label="${kind} so far"></progress>
    <div class="soft">${number(left)} of ${number(all)} left${estimate}</div>`;
}

/**
 * A table: `columns` are [title, what a row shows, whether that is a number]. Rows are told apart by their keys, so that a
 * button stays that of its row wherever that goes. The roles are said because narrow screens show cells below each other.
 */
export function table(caption, columns, rows) {
  const key = (row) => row.key ?? row.id ?? row.name ?? "";
  return html`<table role="table">
    <caption>${caption}</caption>
    <thead role="rowgroup"><tr role="row">${columns.map(([title, , isNumber]) =>
      html`<th role="columnheader" scope="col" class=${isNumber ? "number" : ""}>${title}</th>`)}</tr></thead>
    <tbody role="rowgroup">${repeat(rows, (row, at) => key(row) || at, (row) => html`<tr role="row" data-row=${key(row)}>
      ${columns.map(([title, show, isNumber]) =>
        html`<td role="cell" data-label=${title} class=${isNumber ? "number" : ""}>${show(row)}</td>`)}</tr>`)}</tbody>
  </table>`;
}

export const facts = (pairs) => html`<dl class="facts">${pairs
  .filter(([, value]) => ![null, undefined, "", nothing].includes(value) && value.length !== 0)
  .map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;

/**
 * Asks before something is done. `fields` are templates of labelled inputs; `act` gets their values by name, and what it
 * throws is shown where the person still is. While it is under way, the dialog stays: leaving it would not undo it.
 */
export function ask({ title, text, fields = nothing, button, isDanger = false, act }) {
  const dialog = document.getElementById("dialog");
  let problem = "";
  let isBusy = false;
  const draw = () => render(html`<form @submit=${submit}>
      <h2 id="dialog-title">${title}</h2>
      <p id="dialog-text" ?hidden=${!text}>${text ?? ""}</p>
      ${fields}
      <div role="status">${isBusy ? "Under way…" : ""}</div>
      <div role="alert">${problem}</div>
      <div class="actions">
        <button type="button" ?disabled=${isBusy} @click=${() => dialog.close()}>Cancel</button>
        <button class=${isDanger ? "danger" : "main"} name="do" ?disabled=${isBusy}>${button}</button>
      </div>
    </form>`, dialog);
  dialog.oncancel = (event) => {
    if (isBusy) event.preventDefault();
  };
  async function submit(event) {
    event.preventDefault();
    if (isBusy) return;
    const values = Object.fromEntries(new FormData(event.target));
    [problem, isBusy] = ["", true];
    draw();
    try {
      await act(values);
    } catch (error) {
      problem = error instanceof Refused ? error.message : String(error);
    }
    isBusy = false;
    draw();
    if (!problem) dialog.close();
  }
  draw();
  // What was typed into the dialog before this one is not for this one.
  dialog.querySelector("form").reset();
  dialog.showModal();
}

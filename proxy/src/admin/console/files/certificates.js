// What clients are shown, and what became of what was ordered.

import { get } from "./api.js";
import { html, moment, nothing, table } from "./parts.js";

/** Whether it ends so soon that somebody should look: authorities renew what has a third of its time left. */
const isShort = (ends) => ends - Date.now() / 1000 < 14 * 86400;

export class Certificates {
  all = [];

  constructor(shell) {
    this.shell = shell;
  }

  async load() {
    return { all: (await get("v1/certificates")).certificates };
  }

  render() {
    const { rows } = this.shell.feed;
    const ofHosts = [...rows.values()].flatMap((row) => row.services
      .filter((service) => service.certificate_ends)
      .map((service) => ({ key: `${row.key} ${service.service}`, name: row.name, ends: service.certificate_ends, ...service })))
      .sort((one, other) => one.ends - other.ends).slice(0, 100);
    const ends = (seconds) => (seconds === null ? "there is none yet"
      : html`<span class=${isShort(seconds) ? "state bad" : ""}>${moment(seconds)}</span>`);
    return html`${table("Shown to clients", [
        ["Name", (one) => one.name ?? "as it says itself"],
        ["File", (one) => one.chain ?? nothing],
        ["Ends", (one) => ends(one.not_after)],
        ["Replaced", (one) => moment(one.replaced_at)],
        ["Failed orders", (one) => (one.failures ? `${one.failures}: ${one.error}` : nothing)],
        ["Tried again", (one) => moment(one.again_at)],
      ], this.all)}
      ${ofHosts.length ? html`<h2>Of hosts</h2>${table("As the last checks saw them, those that end first", [
        ["Host", (one) => html`<a href="#/host/${encodeURIComponent(one.name)}">${one.name}</a>`],
        ["Service", (one) => one.service],
        ["Ends", (one) => ends(one.ends)],
      ], ofHosts)}` : nothing}`;
  }
}

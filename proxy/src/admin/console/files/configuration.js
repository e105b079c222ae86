// The configuration that is in force, and reading it again.

import { change, get } from "./api.js";
import { ask, html, nothing } from "./parts.js";

export class Configuration {
  text = "";
  outcome = undefined;

  constructor(shell) {
    this.shell = shell;
  }

  async load() {
    return { text: JSON.stringify(await get("v1/config"), null, 2) };
  }

  reload() {
    ask({
      title: "Reload the configuration",
      text: "It is put in force if it has no faults; otherwise nothing changes, and the faults are shown.",
      button: "Reload",
      fields: html`<label>Your own address, if access rules may not lock it out; empty: where this request seems to come from
          <input name="from" inputmode="url"></label>
        <label class="check"><input type="checkbox" name="force"> Even if rules lock it out</label>`,
      act: async ({ from, force }) => {
        const order = { ...(from ? { from } : {}), force: force === "on" };
        this.outcome = undefined;
        // Faults are shown on the page: they have lines and columns.
        this.outcome = await change("POST", "v1/reload", order).catch((error) => {
          if (error.status !== 422) throw error;
          return { applied: false, faults: error.message, needs_restart: [], warnings: [] };
        });
        this.shell.tell(this.outcome.applied ? "The configuration is in force." : "Nothing has changed: there are faults.",
          !this.outcome.applied);
        this.shell.refresh();
      },
    });
  }

  render() {
    const { outcome } = this;
    const list = (title, lines) => (lines?.length ? html`<h2>${title}</h2><ul>${lines.map((line) => html`<li>${line}</li>`)}</ul>` : nothing);
    return html`${this.shell.mayChange ? html`<p><button id="reload" class="main" @click=${() => this.reload()}>Reload</button></p>` : nothing}
      ${outcome?.faults ? html`<h2>Faults</h2><pre id="faults">${outcome.faults}</pre>` : nothing}
      ${list("Needs a restart", outcome?.needs_restart)}
      ${list("Warnings", outcome?.warnings)}
      <h2>In force, with all defaults</h2>
      <pre id="in-force">${this.text}</pre>`;
  }
}

// Who knows where archives are, and what is being moved.

import { get } from "./api.js";
import { html, moment, nothing, number, table } from "./parts.js";

const user = (key) => html`<a href="#/users/${encodeURIComponent(key)}">${key}</a>`;

export class Directory {
  sources = [];
  keys = [];
  moves = { moves: [], bulk: null };
  duplicates = [];

  constructor(shell) {
    this.shell = shell;
  }

  async load() {
    const [sources, holds, moves, duplicates] =
      await Promise.all(["sources", "holds", "moves", "duplicates"].map((name) => get(`v1/${name}`)));
    return { sources: sources.sources, keys: holds.keys, moves, duplicates: duplicates.users };
  }

  render() {
    const { bulk } = this.moves;
    return html`${table("Sources, in the order in which they are asked", [
        ["Source", (source) => source.name],
        ["State", (source) => source.error ?? (source.is_stale ? "answers from memory" : "answers")],
        ["Entries", (source) => (source.entries === null ? nothing : number(source.entries)), true],
        ["Changes", (source) => (source.is_writable ? "are written here" : "are made elsewhere")],
      ], this.sources)}
      ${this.keys.length ? table("Users on hold: their logins wait", [
        ["User", (hold) => user(hold.key)],
        ["Since", (hold) => moment(hold.since)],
        ["By", (hold) => hold.by],
        ["Why", (hold) => hold.why],
      ], this.keys) : nothing}
      ${bulk ? html`<p>From ${bulk.from} to ${bulk.to}: ${number(bulk.moved)} of ${number(bulk.total)} moved,
        ${number(bulk.failed)} failed${bulk.is_over ? ", over" : ""}.</p>` : nothing}
      ${this.moves.moves.length ? table("Latest moves", [
        ["User", (move) => user(move.key)],
        ["From", (move) => move.from],
        ["To", (move) => move.to],
        ["Phase", (move) => move.phase],
        ["Why", (move) => move.why],
      ], this.moves.moves) : nothing}
      ${this.duplicates.length ? table("Users whom several hosts have: they are not served until somebody decides", [
        ["User", (found) => user(found.user)],
        ["Hosts", (found) => found.hosts.join(", ")],
      ], this.duplicates) : nothing}`;
  }
}

// Who has changed what of late.

import { get } from "./api.js";
import { moment, table } from "./parts.js";

export class Changes {
  all = [];

  constructor(shell) {
    this.shell = shell;
  }

  async load() {
    return { all: (await get("v1/changes")).changes };
  }

  render() {
    return table("Since usher's start, the latest first; the audit log has all of them", [
      ["When", (one) => moment(one.at)],
      ["What", (one) => one.what],
      ["On", (one) => one.on],
      ["Why", (one) => one.why],
      ["By", (one) => one.by],
      ["From", (one) => one.from],
    ], this.all);
  }
}

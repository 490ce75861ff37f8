/** Counts the messages in runs of DataRow or CopyData, so that a result can be cut between two of them. */
export class RowMeter {
  /** Bytes of the last message that are still to come. */
  #left = 0;
  /** That message is beyond what was allowed: its bytes do not pass, and after it nothing does. */
  #dropped = false;

  /**
   * Takes a run (whole headers, as `MessageReader` gives them). `started`: messages that begin in it; `pass`: bytes
   * of it that belong to earlier messages that passed and to the first `allowed` of those.
   */
  feed(raw: Buffer, allowed: number): { readonly started: number; readonly pass: number } {
    let at = Math.min(this.#left, raw.length);
    // Test: "a row that is cut in two by the network passes as a whole or not at all".
    let pass = at > 0 && this.#dropped ? 0 : raw.length;
    this.#left -= at;
    let started = 0;
    while (at < raw.length) {
      if (started === allowed) pass = Math.min(pass, at);
      started += 1;
      at += 1 + raw.readUInt32BE(at + 1);
    }
    this.#left += Math.max(0, at - raw.length);
    if (started > 0) this.#dropped = started > allowed;
    return { started, pass };
  }
}

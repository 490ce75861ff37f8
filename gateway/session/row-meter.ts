/** Counts the messages in runs of DataRow or CopyData, so that a result can be cut between two of them. */
export class RowMeter {
  /** Bytes of the last message that are still to come. */
  #left = 0;

  /**
   * Takes a run (whole headers, as `MessageReader` gives them). `started`: messages that begin in it; `pass`: bytes
   * of it that belong to earlier messages and to the first `allowed` of those.
   */
  feed(raw: Buffer, allowed: number): { readonly started: number; readonly pass: number } {
    let at = Math.min(this.#left, raw.length);
    this.#left -= at;
    let started = 0;
    let pass = raw.length;
    while (at < raw.length) {
      if (started === allowed) pass = at;
      started += 1;
      at += 1 + raw.readUInt32BE(at + 1);
    }
    this.#left += Math.max(0, at - raw.length);
    return { started, pass };
  }
}

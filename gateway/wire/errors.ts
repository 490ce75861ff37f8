/** The peer broke the wire protocol; the connection cannot go on. `sqlstate` is what a client is told (08P01). */
export class ProtocolError extends Error {
  readonly code = 'POSTERN_PROTOCOL';
  readonly sqlstate: string;

  constructor(message: string, sqlstate = '08P01') {
    super(message);
    this.name = 'ProtocolError';
    this.sqlstate = sqlstate;
  }
}

/** Where the kube layer writes what an operator of the operator wants to know: a fixed phrase, data in fields. */
export interface Log {
  debug(fields: object, phrase: string): void;
  info(fields: object, phrase: string): void;
  warn(fields: object, phrase: string): void;
  error(fields: object, phrase: string): void;
}

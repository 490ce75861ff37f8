/** What is wrong with one field of a manifest. */
export interface FieldError {
  /** `spec.rules[2].action`; empty: the object itself. */
  readonly path: string;
  readonly message: string;
}

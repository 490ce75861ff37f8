/** Why a log cannot be opened, or a record not be had. `Unavailable` is what `settle` gives. */
export type AuditErrorCode = 'Directory' | 'InUse' | 'WrongGateway' | 'Unavailable' | 'SpoolFull';

export class AuditError extends Error {
  override readonly name = 'AuditError';
  readonly code: AuditErrorCode;

  constructor(code: AuditErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The system's code of an error (ENOSPC), else its message. */
export function reasonOf(error: unknown): string {
  if (error instanceof Error) {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : null;
    return error instanceof AuditError || code === null ? error.message : code;
  }
  return String(error);
}

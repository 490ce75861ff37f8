import type { ConfigDocument } from '../../gateway/config/document.ts';

/** A small document that is good; `change` overrides top-level members. */
export function exampleDocument(change: Partial<ConfigDocument> = {}): ConfigDocument {
  return {
    schemaVersion: 1,
    gateway: { kind: 'PostgresGateway', namespace: 'shop', name: 'orders', generation: 1 },
    objects: [{ kind: 'PostgresGateway', namespace: 'shop', name: 'orders', generation: 1 }],
    listeners: [{ name: 'token', port: 5432, authentication: 'Token' }],
    tls: { mode: 'Required', minVersion: '1.2', secret: 'orders-tls' },
    upstream: {
      hosts: [{ host: 'db', port: 5432 }],
      tls: { mode: 'VerifyFull', ca: null },
      authentication: ['ScramSha256'],
      connectTimeout: 5000,
      roles: [{ name: 'reader', secret: 'reader' }],
      catalogRole: 'reader',
    },
    identity: {
      issuers: [
        {
          kind: 'Oidc',
          name: 'corp',
          url: 'https://login.example.com',
          audiences: ['postern'],
          algorithms: ['RS256'],
          claims: { username: 'email', groups: 'groups' },
          ca: null,
        },
      ],
      certificates: null,
      clockSkew: 30_000,
    },
    limits: {
      connections: 500,
      connectionsPerIdentity: 20,
      connectionsPerSource: 100,
      statementBytes: 131_072,
      handshake: 10_000,
      idle: 1_800_000,
      sessionAge: 43_200_000,
      drain: 30_000,
    },
    audit: {
      durability: 'Written',
      onFailure: 'Deny',
      spoolBytes: 1_073_741_824,
      recording: 'Statements',
      redaction: { parameters: 'Keep', literals: 'Keep' },
      sinks: [{ name: 'log', kind: 'Stdout' }],
      alerts: null,
    },
    policies: [
      {
        namespace: 'shop',
        name: 'analysts',
        mode: 'Enforce',
        subjects: [{ group: 'analysts' }],
        databases: ['orders'],
        role: 'reader',
        rules: [
          {
            name: 'read',
            action: 'Allow',
            statements: ['Select'],
            relations: ['public.*'],
            functions: [],
            reach: null,
            maxRows: null,
            message: null,
            alert: false,
          },
        ],
        session: { maxAge: null, idle: null, statementTimeout: null, rows: null, readOnly: false, settings: [] },
        limits: { sessions: null, statementsPerMinute: null, rowsPerDay: null, bytesPerDay: null },
        window: null,
        expiresAt: null,
      },
    ],
    masks: [],
    tracing: null,
    ...change,
  };
}

import type { JWTPayload } from 'jose';
import { groupProblem, isReservedName, usernameProblem } from './names.ts';
import type { Refusal } from './refusal.ts';
import { refuse } from './refusal.ts';

const MAX_GROUPS = 1000;

/** Who a token speaks of. */
export interface Person {
  readonly ok: true;
  readonly username: string;
  readonly groups: readonly string[];
  /** Groups left out because their names belong to Kubernetes. */
  readonly reservedGroups: number;
}

/** Names of the claims that carry the user name and the groups; `groups` null: the issuer has none. */
export interface ClaimNames {
  readonly username: string;
  readonly groups: string | null;
}

/** Reads user name and groups from an OpenID token's verified claims. Case is kept: names are compared exactly. */
export function readPerson(payload: JWTPayload, names: ClaimNames): Person | Refusal {
  const username = readUsername(payload, names.username);
  if (typeof username !== 'string') return username;
  const groups = names.groups === null ? [] : readGroups(payload, names.groups);
  if ('ok' in groups) return groups;
  const kept = groups.filter((group) => !isReservedName(group));
  return { ok: true, username, groups: [...new Set(kept)], reservedGroups: groups.length - kept.length };
}

function readUsername(payload: JWTPayload, claim: string): string | Refusal {
  const value = readClaim(payload, claim);
  if (value === undefined || value === null) return missing(claim, 'user name');
  if (typeof value !== 'string') return badUsername(claim, 'is not a string');
  // Whoever may type any address into a profile would else be whoever he likes.
  if (claim === 'email' && (payload.email_verified === false || payload.email_verified === 'false')) {
    return badUsername(claim, 'is an e-mail address that the issuer has not verified');
  }
  const problem = usernameProblem(value);
  return problem === null ? value : badUsername(claim, problem);
}

function readGroups(payload: JWTPayload, claim: string): readonly string[] | Refusal {
  const value = readClaim(payload, claim);
  if (hasOverage(payload, claim, value === undefined)) {
    return refuse(
      'GroupsOverage',
      'the token names too many groups to carry them, so the groups are unknown',
      `Let the issuer put only the groups that matter here into the claim "${claim}".`,
    );
  }
  // Missing groups are not no groups: a client that asks its issuer for a smaller scope must not lose a Deny.
  if (value === undefined || value === null) return missing(claim, 'groups');
  if (!Array.isArray(value) || !value.every((group) => typeof group === 'string')) {
    return malformedGroups(claim, 'is not a list of strings');
  }
  if (value.length > MAX_GROUPS) {
    return refuse('TooLarge', `the token names more than ${MAX_GROUPS} groups`, 'Let the issuer send fewer groups.');
  }
  const problem = value.map(groupProblem).find((found) => found !== null);
  return problem === undefined ? value : malformedGroups(claim, `holds a name that ${problem}`);
}

/** Entra and others replace a long list by a pointer: OpenID Connect Core 5.6.2, or `hasgroups`. */
function hasOverage(payload: JWTPayload, claim: string, isMissing: boolean): boolean {
  const elsewhere = payload._claim_names;
  if (typeof elsewhere === 'object' && elsewhere !== null && (isMissing || Object.hasOwn(elsewhere, claim))) {
    return true;
  }
  const flag = payload.hasgroups;
  return (isMissing || claim === 'groups') && (flag === true || flag === 'true');
}

/** A claim by its literal name (which may be a URL), else by a dotted path such as `realm_access.roles`. */
function readClaim(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  let value: unknown = payload;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[part];
  }
  return value;
}

function missing(claim: string, what: string): Refusal {
  return refuse(
    'MissingClaim',
    `the token has no claim "${claim}" for the ${what}`,
    `Ask the issuer for a token with "${claim}" (often a scope), or change the gateway's identity.issuers[].claims.`,
  );
}

function badUsername(claim: string, problem: string): Refusal {
  return refuse('BadUsername', `the token's claim "${claim}" ${problem}`, 'Such a name cannot be a user name here.');
}

function malformedGroups(claim: string, problem: string): Refusal {
  return refuse('Malformed', `the token's claim "${claim}" ${problem}`, 'Groups must be a list of plain names.');
}

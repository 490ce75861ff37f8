import { as, type Fields, list, names, type Typed, text, unwrap } from './ast.ts';
import type { StatementClass } from './classes.ts';
import type { Makes, Unforeseen } from './facts.ts';
import type { Findings } from './findings.ts';

const FORESEEN: Makes = { unforeseen: null, cascades: [], temporary: [], functions: [] };

/** Statements that define something, but for queries with INTO. */
const DEFINITIONS: ReadonlySet<StatementClass> = new Set(['Ddl', 'Code', 'Link']);

/** What a statement that is run makes; undefined: it defines nothing. */
export function makesOf(
  { type, fields }: Typed,
  primary: StatementClass,
  { relations, temporary }: Findings,
): Makes | undefined {
  if (!DEFINITIONS.has(primary) && !relations.some(({ creates }) => creates)) return undefined;
  return { ...(MAKERS[type]?.(fields) ?? FORESEEN), temporary };
}

const unforeseen = (what: Unforeseen | null): Makes => (what === null ? FORESEEN : { ...FORESEEN, unforeseen: what });
const functions = (...made: readonly (string | undefined)[]): Makes => ({
  ...FORESEEN,
  functions: made.filter((name) => name !== undefined),
});

const MAKERS: Readonly<Record<string, (fields: Fields) => Makes>> = {
  CreateStmt: table,
  CreateForeignTableStmt: ({ base }) => table(base as Fields),
  // What is written to it goes to the relation that it is over.
  ViewStmt: () => unforeseen('Inserts'),
  AlterTableStmt: ({ cmds }) => {
    const commands = list(cmds).map((cmd) => as(cmd, 'AlterTableCmd') ?? {});
    const cascades = commands.flatMap(({ def }) => cascadesOf(def));
    return { ...unforeseen(worst(commands.map(ofCommand))), cascades };
  },
  RuleStmt: () => unforeseen('Reads'),
  // One that is replaced may have stood before a view's relation.
  CreateTrigStmt: ({ replace }) => ({ ...unforeseen(replace === true ? 'Inserts' : null), callsLater: true }),
  DropStmt: ({ removeType }) => unforeseen(REMOVED[text(removeType)] ?? null),
  RenameStmt: ({ renameType, newname }) => {
    // Keys, triggers and foreign keys are known by names of columns.
    if (renameType === 'OBJECT_COLUMN') return unforeseen('Changes');
    return ROUTINES.test(text(renameType))
      ? functions(text(newname))
      : unforeseen(RELATIONS.test(text(renameType)) ? 'Reads' : null);
  },
  AlterObjectSchemaStmt: ({ objectType, object }) => {
    const kind = text(objectType);
    if (ROUTINES.test(kind)) return functions(lastOf(as(object, 'ObjectWithArgs')?.objname));
    return unforeseen(RELATIONS.test(kind) ? 'Reads' : null);
  },
  CreateFunctionStmt: ({ funcname }) => functions(lastOf(funcname)),
  DefineStmt: ({ kind, defnames }) => (kind === 'OBJECT_AGGREGATE' ? functions(lastOf(defnames)) : FORESEEN),
  // Constructors have the names of the types.
  CreateRangeStmt: ({ typeName, params }) => functions(lastOf(typeName), multirange(params)),
};

/** Whatever hangs on a relation goes with it, to a name of which nothing is known. */
const RELATIONS = /^OBJECT_(?:TABLE|VIEW|MATVIEW|FOREIGN_TABLE|SEQUENCE|INDEX)$/;
const ROUTINES = /^OBJECT_(?:FUNCTION|PROCEDURE|ROUTINE|AGGREGATE)$/;

/** What goes takes with it what was known of its relation. */
const REMOVED: Readonly<Record<string, Unforeseen>> = {
  OBJECT_INDEX: 'Keys',
  OBJECT_RULE: 'Inserts',
  OBJECT_TRIGGER: 'Inserts',
};

function lastOf(name: unknown): string | undefined {
  return names(name)?.at(-1);
}

function multirange(params: unknown): string | undefined {
  const option = list(params)
    .map((node) => as(node, 'DefElem'))
    .find((fields) => fields?.defname === 'multirange_type_name');
  return lastOf(unwrap(option?.arg)?.fields.names);
}

/** Triggers, checks and defaults come from a parent, a partitioned table or a model without being named. */
function table({ inhRelations, partbound, ofTypename, tableElts, constraints }: Fields): Makes {
  const models = [inhRelations, partbound, ofTypename].some((model) => model !== undefined);
  const elements = list(tableElts);
  const copies = models || elements.some((element) => unwrap(element)?.type === 'TableLikeClause');
  return { ...unforeseen(copies ? 'Reads' : null), cascades: [...elements, ...list(constraints)].flatMap(cascadesOf) };
}

/** The tables that a column or constraint references so that their changes come to this one. */
function cascadesOf(element: unknown): string[] {
  const typed = unwrap(element);
  const all = typed?.type === 'ColumnDef' ? list(typed.fields.constraints) : [element];
  return all.flatMap((node) => {
    const key = as(node, 'Constraint');
    const acts = key?.contype === 'CONSTR_FOREIGN' && [key.fk_del_action, key.fk_upd_action].some(isAction);
    return acts ? [text((key.pktable as Fields).relname)] : [];
  });
}

/** CASCADE, SET NULL, SET DEFAULT; not NO ACTION and RESTRICT. */
function isAction(action: unknown): boolean {
  return action === 'c' || action === 'n' || action === 'd';
}

function ofCommand({ subtype }: Fields): Unforeseen | null {
  const command = text(subtype);
  if (HARMLESS.has(command)) return null;
  return LOSING_KEYS.has(command) ? 'Keys' : 'Reads';
}

const subtypes = (commands: string) => new Set(commands.split(' ').map((command) => `AT_${command}`));

/** What they add they name, and what they take away makes nothing happen. */
const HARMLESS = subtypes(
  'AddColumn ColumnDefault SetNotNull DropNotNull SetStatistics SetOptions ResetOptions SetStorage SetCompression ' +
    'AddConstraint ValidateConstraint ChangeOwner ClusterOn DropCluster SetLogged SetUnLogged SetTableSpace ' +
    'SetRelOptions ResetRelOptions ReplicaIdentity DisableTrig DisableTrigAll DisableTrigUser AddIdentity SetIdentity ' +
    'DropIdentity DisableRowSecurity NoForceRowSecurity SetAccessMethod',
);
const LOSING_KEYS = subtypes('DropColumn DropConstraint AlterColumnType');

const ORDER: readonly Unforeseen[] = ['Keys', 'Changes', 'Inserts', 'Reads'];

/** How much is unforeseen: nothing is 0. */
export function degree(unforeseen: Unforeseen | null | undefined): number {
  return unforeseen == null ? 0 : 1 + ORDER.indexOf(unforeseen);
}

export function worst(all: readonly (Unforeseen | null | undefined)[]): Unforeseen | null {
  return ORDER[Math.max(0, ...all.map(degree)) - 1] ?? null;
}

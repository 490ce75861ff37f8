/** A node of a pg_node_tree value: its type and its fields. */
export interface TreeNode {
  readonly type: string;
  readonly fields: ReadonlyMap<string, TreeValue>;
}

/** A token as the server wrote it, a node, or a list of either. */
export type TreeValue = string | TreeNode | readonly TreeValue[];

/** Tokens as read.c has them: brackets stand alone, a backslash takes the next character as it is. */
const TOKENS = /\{[A-Z_0-9]*|[(){}]|(?:\\.|[^\s(){}\\])+/gs;

interface Open {
  readonly node: { readonly type: string; readonly fields: Map<string, TreeValue> } | null;
  readonly list: TreeValue[];
  /** The field whose value comes next. */
  field: string | null;
}

/**
 * Reads a pg_node_tree value such as `pg_rewrite.ev_action`: what the server itself will run, names resolved. A field
 * is always followed by a value, so a name that looks like a field is none (test: "a name cannot pass for a field").
 */
export function parseNodeTree(text: string): TreeValue {
  const top: Open = { node: null, list: [], field: null };
  const stack: Open[] = [top];
  for (const [token] of text.matchAll(TOKENS)) {
    const open = stack.at(-1)!;
    if (token.startsWith('{')) stack.push({ node: { type: token.slice(1), fields: new Map() }, list: [], field: null });
    else if (token === '(') stack.push({ node: null, list: [], field: null });
    else if (token === ')' || token === '}') close(stack);
    else if (open.node !== null && open.field === null && token.startsWith(':')) open.field = token.slice(1);
    else add(open, token);
  }
  return top.list;
}

function close(stack: Open[]): void {
  const done = stack.pop()!;
  const outer = stack.at(-1);
  if (outer === undefined) throw new Error('a node tree that is not balanced');
  add(outer, done.node ?? done.list);
}

function add(open: Open, value: TreeValue): void {
  if (open.node === null) open.list.push(value);
  // Tokens after a field's first value are the bytes of a constant.
  else if (open.field !== null) {
    open.node.fields.set(open.field, value);
    open.field = null;
  }
}

export function isNode(value: TreeValue | undefined): value is TreeNode {
  return typeof value === 'object' && 'type' in value;
}

export function items(value: TreeValue | undefined): readonly TreeValue[] {
  return Array.isArray(value) ? value : [];
}

/** Every node of a type, at whatever depth; the value's own order. */
export function nodesOf(value: TreeValue): TreeNode[] {
  const found: TreeNode[] = [];
  const stack: TreeValue[] = [value];
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    if (typeof item === 'string') continue;
    if (isNode(item)) {
      found.push(item);
      for (const child of item.fields.values()) stack.push(child);
    } else stack.push(...item);
  }
  return found;
}

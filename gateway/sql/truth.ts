/** What a condition makes of a row; undefined: not known. */
export type Truth = boolean | undefined;

/** What the unknowns of a condition are taken to be: a value for each, by its number; undefined: nothing is assumed. */
export type World = readonly number[] | undefined;

/** A condition, ready to be tried in every world. */
export type Test = (world: World) => Truth;

/** Worlds that are tried, times tests in each: beyond it nothing is proved. */
const MAX_EFFORT = 20_000;

/**
 * `row`: it depends on the row, or on a parameter. `free`: it is the same for every row (`now() > '2020-01-01'`), and
 * whoever wrote the condition may well know that it is true.
 */
export type Dependence = 'row' | 'free';

/** What a thing can be at all, when it is a number. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

export const UNLIMITED: Bounds = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };

interface Unknown {
  readonly index: number;
  readonly dependence: Dependence;
  values: readonly number[];
  /** Numbers that it is compared with, when it is a place among numbers, and where each stands among them. */
  readonly points: Map<number, number>;
  bounds: Bounds;
  /** The column whose being NULL it is. */
  column: string | null;
}

/** One of the unknowns while worlds are tried. */
interface Variable {
  readonly index: number;
  readonly values: readonly number[];
}

/** The things in a condition that depend on more than its text. Each has a key, so that the same one has one value. */
export class Unknowns {
  readonly #known = new Map<string, Unknown>();
  #tests = 0;
  #unlike = 0;

  /** A key that nothing else has: for what may differ each time it is asked. */
  unlike(key: string): string {
    this.#unlike += 1;
    return `${key} ${this.#unlike}`;
  }

  /** True or false. */
  either(key: string, dependence: Dependence): Test {
    const { index } = this.#get(`either ${key}`, dependence, [0, 1]);
    return (world) => (world === undefined ? undefined : world[index] === 1);
  }

  /** Whether a column of the target is NULL. */
  isNull(key: string, column: string): Test {
    const unknown = this.#get(`null ${key}`, 'row', [0, 1]);
    unknown.column = column;
    return (world) => (world === undefined ? undefined : world[unknown.index] === 1);
  }

  /** The sign of a comparison of two things: less, equal or greater, or those of them that can be. */
  order(key: string, dependence: Dependence, holds: (sign: number) => boolean, signs = [-1, 0, 1]): Test {
    const { index } = this.#get(`order ${key}`, dependence, signs);
    return (world) => (world === undefined ? undefined : holds(world[index]!));
  }

  /** A place among the numbers that one thing is compared with: on one of them, between two, or beyond. */
  place(key: string, dependence: Dependence, point: number, bounds: Bounds, holds: (sign: number) => boolean): Test {
    const unknown = this.#get(`place ${key}`, dependence, []);
    unknown.points.set(point, 0);
    unknown.bounds = bounds;
    return (world) =>
      world === undefined ? undefined : holds(Math.sign(world[unknown.index]! - unknown.points.get(point)!));
  }

  /** Columns whose being NULL the condition asks for. */
  get nullColumns(): string[] {
    return [...this.#known.values()].flatMap(({ column }) => (column === null ? [] : [column]));
  }

  /**
   * Whether the condition holds in every world that differs in what depends on the row, once what does not is chosen
   * well. `notNull`: these columns never are.
   */
  always(test: Test, notNull: ReadonlySet<string> = new Set()): boolean {
    return this.#holds(test, notNull, 'free');
  }

  /** Whether it holds in every world there is. */
  everywhere(test: Test): boolean {
    return this.#holds(test, new Set(), null);
  }

  #holds(test: Test, notNull: ReadonlySet<string>, chosen: Dependence | null): boolean {
    if (test(undefined) === true) return true;
    const free: Variable[] = [];
    const rows: Variable[] = [];
    let effort = Math.max(1, this.#tests);
    for (const unknown of this.#known.values()) {
      const { index, dependence, column, points } = unknown;
      const values = column !== null && notNull.has(column) ? [0] : points.size > 0 ? places(unknown) : unknown.values;
      (dependence === chosen ? free : rows).push({ index, values });
      effort *= values.length;
      if (effort > MAX_EFFORT) return false;
    }
    const world = Array.from<number>({ length: this.#known.size });
    return anyWorld(free, world, () => !anyWorld(rows, world, () => test(world) !== true));
  }

  #get(key: string, dependence: Dependence, values: readonly number[]): Unknown {
    this.#tests += 1;
    const known = this.#known.get(key) ?? {
      index: this.#known.size,
      dependence,
      values,
      points: new Map(),
      bounds: UNLIMITED,
      column: null,
    };
    this.#known.set(key, known);
    return known;
  }
}

/** Gives each point its rank; the places on them, between them and beyond them that the bounds leave. */
function places({ points, bounds }: Unknown): number[] {
  const sorted = [...points.keys()].sort((a, b) => a - b);
  for (const [rank, point] of sorted.entries()) points.set(point, rank * 2 + 1);
  const found: number[] = [];
  for (let place = 0; place <= sorted.length * 2; place++) {
    // Between two points there is room for what lies beyond one and not beyond the other.
    const below = sorted[Math.ceil(place / 2)] ?? Number.POSITIVE_INFINITY;
    const above = sorted[Math.floor((place - 1) / 2)] ?? Number.NEGATIVE_INFINITY;
    const on = place % 2 === 1;
    const [least, most] = on ? [above, above] : [above, below];
    if (on ? least >= bounds.min && most <= bounds.max : most > bounds.min && least < bounds.max) found.push(place);
  }
  return found.length > 0 ? found : [0];
}

/** Whether some choice of values for the variables passes. */
function anyWorld(variables: readonly Variable[], world: number[], passes: () => boolean): boolean {
  const at = variables.map(() => 0);
  for (const { index, values } of variables) world[index] = values[0]!;
  for (;;) {
    if (passes()) return true;
    let i = 0;
    for (; i < variables.length; i++) {
      const { index, values } = variables[i]!;
      at[i] = (at[i]! + 1) % values.length;
      world[index] = values[at[i]!]!;
      if (at[i] !== 0) break;
    }
    if (i === variables.length) return false;
  }
}

export const constantly =
  (value: Truth): Test =>
  () =>
    value;

export const not =
  (test: Test): Test =>
  (world) => {
    const value = test(world);
    return value === undefined ? undefined : !value;
  };

/** Three-valued OR: one true suffices, whatever the rest. */
export const some =
  (tests: readonly Test[]): Test =>
  (world) => {
    let result: Truth = false;
    for (const test of tests) {
      const value = test(world);
      if (value === true) return true;
      if (value === undefined) result = undefined;
    }
    return result;
  };

export const every = (tests: readonly Test[]): Test => not(some(tests.map(not)));

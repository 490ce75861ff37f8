/** What a condition makes of a row; undefined: not known. */
export type Truth = boolean | undefined;

/** What the unknowns of a condition are taken to be: a value for each, by its number; undefined: nothing is assumed. */
export type World = readonly number[] | undefined;

/** A condition, ready to be tried in every world. */
export type Test = (world: World) => Truth;

/** Worlds that are tried, times tests in each: beyond it nothing is proved. */
const MAX_EFFORT = 100_000;

interface Unknown {
  readonly index: number;
  size: number;
  /** Numbers that it is compared with, when it is a place among numbers, and where each stands among them. */
  readonly points: Map<number, number>;
}

/** The things in a condition that depend on the row. Each is named by a key, so that the same one has one value. */
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
  either(key: string): Test {
    const { index } = this.#get(`either ${key}`, 2);
    return (world) => (world === undefined ? undefined : world[index] === 1);
  }

  /** Less, equal or greater: the sign of a comparison of two things. */
  order(key: string, holds: (sign: number) => boolean): Test {
    const { index } = this.#get(`order ${key}`, 3);
    return (world) => (world === undefined ? undefined : holds(world[index]! - 1));
  }

  /** A place among the numbers that one thing is compared with: on one of them, between two, or beyond. */
  place(key: string, point: number, holds: (sign: number) => boolean): Test {
    const unknown = this.#get(`place ${key}`, 1);
    unknown.points.set(point, 0);
    unknown.size = unknown.points.size * 2 + 1;
    return (world) =>
      world === undefined ? undefined : holds(Math.sign(world[unknown.index]! - unknown.points.get(point)!));
  }

  /** Whether the condition holds in every world. */
  always(test: Test): boolean {
    if (test(undefined) === true) return true;
    const sizes = [...this.#known.values()].map(({ size }) => size);
    let effort = Math.max(1, this.#tests);
    for (const size of sizes) {
      effort *= size;
      if (effort > MAX_EFFORT) return false;
    }
    for (const { points } of this.#known.values()) {
      for (const [rank, point] of [...points.keys()].sort((a, b) => a - b).entries()) points.set(point, rank * 2 + 1);
    }
    const world = sizes.map(() => 0);
    do {
      if (test(world) !== true) return false;
    } while (next(world, sizes));
    return true;
  }

  #get(key: string, size: number): Unknown {
    this.#tests += 1;
    const known = this.#known.get(key) ?? { index: this.#known.size, size, points: new Map() };
    this.#known.set(key, known);
    return known;
  }
}

/** Counts up; false: every world has been seen. */
function next(world: number[], sizes: readonly number[]): boolean {
  for (let i = 0; i < world.length; i++) {
    world[i] = world[i]! + 1;
    if (world[i]! < sizes[i]!) return true;
    world[i] = 0;
  }
  return false;
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

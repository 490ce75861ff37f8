/**
 * The same function, which makes its answer about an object once: most of what a plan is made from is the very object of
 * the plan before. Objects are never changed, so that a plan stays the same whether or not it was made before.
 */
export function remember<Key extends object, Answer extends {}>(make: (key: Key) => Answer): (key: Key) => Answer {
  const known = new WeakMap<Key, Answer>();
  return (key) => {
    const before = known.get(key);
    if (before !== undefined) return before;
    const answer = make(key);
    known.set(key, answer);
    return answer;
  };
}

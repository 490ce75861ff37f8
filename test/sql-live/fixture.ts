/** The role that runs the corpus: it owns what is here and may do nothing else. */
export const ROLE = { name: 'corpus', password: 'corpus' } as const;

/** What a statement opens behind a relation that it names; the catalogue knows, the text does not. */
export const BEHIND: Readonly<Record<string, readonly string[]>> = {
  v: ['t'],
  parent: ['child'],
  part: ['part_a', 'part_b'],
  part_a: ['part'],
};

/** Rows of t: enough that a list of keys is less than all of them, and unlike enough that no condition fits all by chance. */
export const ROWS = 40;

export const FIXTURE = `
  CREATE ROLE ${ROLE.name} LOGIN PASSWORD '${ROLE.password}';
  GRANT CREATE, TEMPORARY ON DATABASE postgres TO ${ROLE.name};
  ALTER SCHEMA public OWNER TO ${ROLE.name};
  SET SESSION AUTHORIZATION ${ROLE.name};
  CREATE SCHEMA app;
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
  CREATE TABLE t (
    id int PRIMARY KEY, x int, y int, n int, t_id int, name text, status text, active bool, amount numeric,
    d timestamptz, data jsonb, tags text[], note text DEFAULT 'none');
  INSERT INTO t SELECT i - 5, nullif(i % 7, 3), i % 3 - 1, i * 10, i, nullif('name ' || i, 'name 4'),
    (ARRAY['new', 'done', '', NULL])[i % 4 + 1], (i % 3 = 0), i - 20.5, '2020-01-01'::timestamptz + i * interval '300 day',
    CASE WHEN i % 5 > 0 THEN jsonb_build_object('k', i) END, ARRAY['a', i::text], nullif('', (i % 2)::text)
    FROM generate_series(1, ${ROWS}) i;
  CREATE TABLE s (id int PRIMARY KEY, x int, y int, t_id int, name text, amount numeric);
  INSERT INTO s SELECT i, i % 5, i % 2, i - 5, 's ' || i, i FROM generate_series(1, 12) i;
  CREATE TABLE u (id int PRIMARY KEY, x int, name text);
  INSERT INTO u SELECT i, i, 'u ' || i FROM generate_series(1, 6) i;
  CREATE TABLE other (id int, x int);
  CREATE TABLE secret (id int, who text);
  INSERT INTO secret VALUES (1, 'one'), (2, 'two');
  CREATE TABLE log (id int, what text, at timestamptz DEFAULT now());
  CREATE TABLE app.t (id int PRIMARY KEY, x int, name text);
  INSERT INTO app.t SELECT i, i, 'app ' || i FROM generate_series(1, 8) i;
  CREATE TABLE pair (a int, b int, v text, PRIMARY KEY (a, b));
  INSERT INTO pair SELECT i, j, i || '/' || j FROM generate_series(1, 5) i, generate_series(1, 4) j;
  CREATE TABLE parent (id int PRIMARY KEY, k text);
  CREATE TABLE child (more int) INHERITS (parent);
  INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (1, 'c', 1), (2, 'c', 2);
  CREATE TABLE part (id int, k text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
  CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
  CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b');
  INSERT INTO part VALUES (1, 'a'), (2, 'b');
  CREATE VIEW v AS SELECT id, x, name FROM t;
  CREATE MATERIALIZED VIEW mv AS SELECT id, x FROM t;
  CREATE SEQUENCE seq;
  CREATE DOMAIN app.dom AS text;
  RESET SESSION AUTHORIZATION;
`;

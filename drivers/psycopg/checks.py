import sys
import threading
from contextlib import contextmanager
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import psycopg
import psycopg.sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tap import TARGET, finish, report  # noqa: E402

INFO = dict(
    host=TARGET["host"],
    port=TARGET["port"],
    dbname=TARGET["database"],
    user=TARGET["app"]["user"],
    password=TARGET["app"]["token"],
    sslmode="verify-full",
    sslrootcert=TARGET["caFile"],
    connect_timeout=15,
)
VALUES = (
    7,
    "naïve 'text'",
    b"\x00\xff\x01",
    datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc),
    Jsonb({"a": [1, None]}),
    [1, 2, None],
    ["x", 'y"z'],
    None,
    Decimal("12.50"),
)
TYPED = (
    "SELECT %s::int, %s::text, %s::bytea, %s::timestamptz, %s::jsonb, %s::int[], %s::text[], %s::text, %s::numeric"
)
CHECKS = []


def check(name):
    def add(run):
        CHECKS.append((name, run))
        return run

    return add


@contextmanager
def connect(**more):
    with psycopg.connect(**INFO, **more) as connection:
        yield connection


def raises(kind, run):
    try:
        run()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


@check("connects with TLS verify-full and the token as password")
def _():
    with connect() as c:
        assert c.pgconn.ssl_in_use
        assert c.execute("SELECT current_user").fetchone() == (INFO["user"],)


@check("a wrong token is refused")
def _():
    raises(psycopg.OperationalError, lambda: psycopg.connect(**{**INFO, "password": "wrong"}))


@check("a simple query")
def _():
    with connect() as c:
        assert psycopg.ClientCursor(c).execute("SELECT %s, 'two'", (1,)).fetchall() == [(1, "two")]


@check("several statements in one string")
def _():
    with connect() as c:
        cursor = c.execute("SELECT 1; SELECT 2")
        assert cursor.fetchone() == (1,)
        assert cursor.nextset() and cursor.fetchone() == (2,)


for binary in (False, True):

    @check(f"parameters of many types, {'binary' if binary else 'text'} results")
    def _(binary=binary):
        with connect() as c:
            row = c.execute(TYPED, VALUES, binary=binary).fetchone()
            assert row[:4] == VALUES[:4] and row[4] == {"a": [1, None]} and row[5:] == VALUES[5:], row


@check("binary parameters")
def _():
    with connect() as c:
        row = c.execute("SELECT %b::int8, %b::text, %b::bytea", (7, "text", b"\x00\xff")).fetchone()
        assert row == (7, "text", b"\x00\xff")


@check("a prepared statement runs again")
def _():
    with connect() as c:
        for n in range(1, 20):
            assert c.execute("SELECT name FROM items WHERE id = %s", (n,), prepare=True).fetchone() == (f"item {n}",)
        assert c.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0] >= 1


@check("executemany in a batch")
def _():
    with connect() as c:
        with c.cursor() as cursor:
            cursor.executemany("INSERT INTO items (id, name) VALUES (%s, %s)", [(6000 + n, f"n{n}") for n in range(200)])
            assert cursor.rowcount == 200
        c.rollback()


@check("a pipeline, and an error in it")
def _():
    with connect(autocommit=True) as c:
        with c.pipeline():
            cursors = [c.execute("SELECT %s::int * 2", (n,)) for n in range(50)]
            assert [cursor.fetchone()[0] for cursor in cursors] == [2 * n for n in range(50)]

        def broken():
            with c.pipeline():
                c.execute("SELECT 1")
                c.execute("SELECT 1/0")
                c.execute("SELECT 2")

        raises(psycopg.errors.DivisionByZero, broken)
        assert c.execute("SELECT 'still here'").fetchone() == ("still here",)


@check("a denied statement in a pipeline undoes what came before it")
def _():
    with connect(autocommit=True) as c:

        def broken():
            with c.pipeline():
                c.execute("INSERT INTO items (id, name) VALUES (6500, 'x')")
                c.execute("DROP TABLE items")
                c.execute("INSERT INTO items (id, name) VALUES (6501, 'x')")

        raises(psycopg.errors.InsufficientPrivilege, broken)
        assert c.execute("SELECT count(*) FROM items WHERE id >= 6500").fetchone() == (0,)


@check("commit and rollback")
def _():
    with connect() as c:
        with c.transaction():
            c.execute("INSERT INTO items (id, name) VALUES (6001, 'kept')")
        with c.transaction(force_rollback=True):
            c.execute("INSERT INTO items (id, name) VALUES (6002, 'gone')")
        assert c.execute("SELECT id FROM items WHERE id > 6000").fetchall() == [(6001,)]
        c.execute("DELETE FROM items WHERE id = 6001")


@check("an error in a transaction, a savepoint, a rollback")
def _():
    with connect() as c:

        def nested():
            with c.transaction():
                c.execute("SELECT 1/0")

        with c.transaction():
            raises(psycopg.errors.DivisionByZero, nested)
            assert c.execute("SELECT 1").fetchone() == (1,)
        raises(psycopg.errors.DivisionByZero, lambda: c.execute("SELECT 1/0"))
        raises(psycopg.errors.InFailedSqlTransaction, lambda: c.execute("SELECT 1"))
        c.rollback()
        assert c.execute("SELECT 1").fetchone() == (1,)


@check("a denied statement is 42501 and the session goes on")
def _():
    with connect(autocommit=True) as c:
        error = raises(psycopg.errors.InsufficientPrivilege, lambda: c.execute("DROP TABLE items"))
        assert error.sqlstate == "42501"
        assert c.execute("SELECT 1").fetchone() == (1,)


@check("a server-side cursor fetches in portions and scrolls")
def _():
    with connect() as c:
        with c.cursor("portions", scrollable=True) as cursor:
            cursor.itersize = 100
            cursor.execute("SELECT id FROM items WHERE id <= 1000 ORDER BY id")
            assert len(cursor.fetchmany(10)) == 10
            cursor.scroll(500, mode="absolute")
            assert cursor.fetchone() == (501,)
            assert sum(1 for _ in cursor) == 499


@check("rows one by one with stream()")
def _():
    with connect() as c:
        assert sum(row[0] for row in c.cursor().stream("SELECT id FROM items WHERE id <= 1000")) == 500_500


@check("COPY out and in, text and binary")
def _():
    with connect() as c:
        c.execute("CREATE TEMP TABLE t (a int, b text, c bytea)")
        with c.cursor().copy("COPY t FROM STDIN") as copy:
            for n in range(1000):
                copy.write_row((n, f"tab\t{n}", b"\x00"))
        with c.cursor().copy("COPY t FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text", "bytea"])
            copy.write_row((1000, None, b"\xff"))
        with c.cursor().copy("COPY (SELECT * FROM t ORDER BY a) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int4", "text", "bytea"])
            rows = list(copy.rows())
        assert len(rows) == 1001 and rows[1] == (1, "tab\t1", b"\x00") and rows[-1] == (1000, None, b"\xff")


@check("an abandoned COPY leaves nothing behind")
def _():
    with connect() as c:
        c.execute("CREATE TEMP TABLE t (a int)")
        c.commit()

        def abandon():
            with c.cursor().copy("COPY t FROM STDIN") as copy:
                copy.write("1\n")
                raise RuntimeError("enough")

        raises(RuntimeError, abandon)
        c.rollback()
        assert c.execute("SELECT count(*) FROM t").fetchone() == (0,)


@check("cancel of a long query")
def _():
    with connect() as c:
        threading.Timer(1, c.cancel_safe).start()
        raises(
            psycopg.errors.QueryCanceled,
            lambda: c.execute("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b"),
        )
        c.rollback()
        assert c.execute("SELECT 1").fetchone() == (1,)


@check("LISTEN and NOTIFY between two sessions")
def _():
    with connect(autocommit=True) as listener, connect(autocommit=True) as notifier:
        listener.execute("LISTEN news")
        notifier.execute("NOTIFY news, 'hello'")
        got = next(iter(listener.notifies(timeout=10, stop_after=1)))
        assert (got.channel, got.payload) == ("news", "hello")


@check("a value of 10 MB, both ways")
def _():
    with connect() as c:
        value = "x" * 10_485_760
        assert c.execute("SELECT %s::text || 'y'", (value,)).fetchone()[0] == value + "y"


@check("ten thousand rows as dictionaries")
def _():
    with connect(row_factory=dict_row) as c:
        rows = c.execute("SELECT n, md5(n::text) AS m FROM generate_series(1, 10000) n").fetchall()
        assert len(rows) == 10_000 and rows[-1]["n"] == 10_000


@check("notices arrive")
def _():
    with connect() as c:
        seen = []
        c.add_notice_handler(lambda notice: seen.append(notice.message_primary))
        for _ in range(2):
            c.execute("CREATE TEMP TABLE IF NOT EXISTS twice (a int)")
        assert len(seen) == 1, seen


@check("information_schema and pg_catalog")
def _():
    with connect() as c:
        columns = c.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position", ("items",)
        ).fetchall()
        assert [name for (name,) in columns][:2] == ["id", "name"]
        assert c.execute("SELECT count(*) FROM pg_class WHERE relname = 'items'").fetchone() == (1,)
        assert psycopg.types.TypeInfo.fetch(c, "items").name == "items"


@check("a pool of connections")
def _():
    info = psycopg.conninfo.make_conninfo(**INFO)
    with ConnectionPool(info, min_size=3, max_size=5) as pool:
        def work():
            with pool.connection() as c:
                c.execute("SELECT count(*) FROM items").fetchone()
        threads = [threading.Thread(target=work) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert pool.get_stats().get("requests_errors", 0) == 0


@check("reconnects")
def _():
    for _ in range(10):
        with connect() as c:
            assert c.execute("SELECT 1").fetchone() == (1,)


def as_dba(database):
    dba = dict(user=TARGET["dba"]["user"], password=TARGET["dba"]["token"], dbname=database)
    return psycopg.connect(**{**INFO, **dba})


@check("a DBA reads a cursor that a function opened")
def _():
    with as_dba(TARGET["database"]) as c:
        c.execute(
            "CREATE FUNCTION open_items() RETURNS refcursor LANGUAGE plpgsql AS "
            "$$ DECLARE c refcursor := 'opened'; BEGIN OPEN c FOR SELECT generate_series(1, 5); RETURN c; END $$"
        )
        assert c.execute("SELECT open_items()").fetchone() == ("opened",)
        with c.cursor("opened") as opened:
            assert opened.fetchmany(2) == [(1,), (2,)]
            assert opened.fetchall() == [(3,), (4,), (5,)]
        c.rollback()


@check("a DBA makes an enum and a table of it in one transaction, and a prepared statement inside DO")
def _():
    with as_dba(TARGET["database"]) as c:
        c.execute("CREATE TYPE size AS ENUM ('s', 'm')")
        c.execute("CREATE TABLE shirts (size size)")
        c.execute("INSERT INTO shirts VALUES (%s)", ("m",))
        c.execute("DO $$ BEGIN EXECUTE 'PREPARE sizes AS SELECT size FROM shirts'; END $$")
        assert c.pgconn.describe_prepared(b"sizes").nfields == 1
        c.rollback()


@check("a DBA drops a database that was used a moment ago")
def _():
    with as_dba(TARGET["copyDatabase"]) as c:
        assert c.execute("SELECT count(*) FROM pg_class WHERE relname = 'nothing'").fetchone() == (0,)
    with as_dba(TARGET["database"]) as c:
        c.autocommit = True
        c.execute(psycopg.sql.SQL("DROP DATABASE {}").format(psycopg.sql.Identifier(TARGET["copyDatabase"])))


for name, run in CHECKS:
    try:
        run()
        report(name, None)
    except BaseException as error:  # noqa: BLE001
        report(name, error)
finish()

import asyncio
import io
import ssl
import sys
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import asyncpg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tap import TARGET, finish, report  # noqa: E402

INFO = dict(
    host=TARGET["host"],
    port=TARGET["port"],
    database=TARGET["database"],
    user=TARGET["app"]["user"],
    password=TARGET["app"]["token"],
    ssl=ssl.create_default_context(cafile=TARGET["caFile"]),
    timeout=15,
)
CHECKS = []


def check(name):
    def add(run):
        CHECKS.append((name, run))
        return run

    return add


class Connection:
    async def __aenter__(self):
        self.connection = await asyncpg.connect(**INFO)
        return self.connection

    async def __aexit__(self, *_):
        await self.connection.close(timeout=10)


async def raises(kind, awaitable):
    try:
        await awaitable
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


@check("connects with TLS verify-full and the token as password")
async def _():
    async with Connection() as c:
        assert await c.fetchval("SELECT current_user") == INFO["user"]
        assert c._transport.get_extra_info("ssl_object") is not None


@check("a wrong token is refused")
async def _():
    await raises(asyncpg.InvalidAuthorizationSpecificationError, asyncpg.connect(**{**INFO, "password": "wrong"}))


@check("a simple query, several statements in one string")
async def _():
    async with Connection() as c:
        assert await c.execute("SELECT 1; SELECT 2") == "SELECT 1"


@check("parameters of many types, binary both ways")
async def _():
    values = (
        7,
        "naïve 'text'",
        b"\x00\xff\x01",
        datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc),
        '{"a": [1, null]}',
        [1, 2, None],
        ["x", 'y"z'],
        None,
        Decimal("12.50"),
    )
    async with Connection() as c:
        row = await c.fetchrow(
            "SELECT $1::int, $2::text, $3::bytea, $4::timestamptz, $5::jsonb, $6::int[], $7::text[], $8::text, $9::numeric",
            *values,
        )
        assert tuple(row) == values, row


@check("a composite type, looked up in the catalogue")
async def _():
    async with Connection() as c:
        row = await c.fetchval("SELECT i FROM items i WHERE id = 1")
        assert row["name"] == "item 1" and row["tags"] == ["a", "b1"]


@check("a prepared statement runs again")
async def _():
    async with Connection() as c:
        statement = await c.prepare("SELECT name FROM items WHERE id = $1")
        assert [await statement.fetchval(n) for n in range(1, 20)] == [f"item {n}" for n in range(1, 20)]
        assert statement.get_parameters()[0].name == "int4"


@check("executemany in a batch, all or nothing")
async def _():
    async with Connection() as c:
        rows = [(7000 + n, f"n{n}") for n in range(200)]
        await c.executemany("INSERT INTO items (id, name) VALUES ($1, $2)", rows)
        again = c.executemany("INSERT INTO items (id, name) VALUES ($1, $2)", [(7900, "new"), (7000, "twice")])
        await raises(asyncpg.UniqueViolationError, again)
        assert await c.fetchval("SELECT count(*) FROM items WHERE id >= 7000") == 200
        await c.execute("DELETE FROM items WHERE id >= 7000")


@check("commit and rollback")
async def _():
    async with Connection() as c:
        transaction = c.transaction()
        await transaction.start()
        await c.execute("INSERT INTO items (id, name) VALUES (7001, 'gone')")
        await transaction.rollback()
        async with c.transaction(isolation="serializable"):
            await c.execute("INSERT INTO items (id, name) VALUES (7002, 'kept')")
        assert [r["id"] for r in await c.fetch("SELECT id FROM items WHERE id > 7000")] == [7002]
        await c.execute("DELETE FROM items WHERE id = 7002")


@check("an error in a transaction, a savepoint, a rollback")
async def _():
    async with Connection() as c:
        async with c.transaction():
            try:
                async with c.transaction():
                    await c.execute("SELECT 1/0")
            except asyncpg.DivisionByZeroError:
                pass
            assert await c.fetchval("SELECT 1") == 1
        transaction = c.transaction()
        await transaction.start()
        await raises(asyncpg.DivisionByZeroError, c.fetchval("SELECT 1/$1::int", 0))
        await raises(asyncpg.InFailedSQLTransactionError, c.fetchval("SELECT 1"))
        await transaction.rollback()
        assert await c.fetchval("SELECT 1") == 1


@check("a denied statement is 42501 and the session goes on")
async def _():
    async with Connection() as c:
        error = await raises(asyncpg.InsufficientPrivilegeError, c.execute("DROP TABLE items"))
        assert error.sqlstate == "42501"
        error = await raises(asyncpg.InsufficientPrivilegeError, c.fetch("SELECT * FROM secrets WHERE id = $1", 1))
        assert error.sqlstate == "42501"
        assert await c.fetchval("SELECT 1") == 1


@check("a cursor fetches in portions")
async def _():
    async with Connection() as c:
        async with c.transaction():
            ids = [r["id"] async for r in c.cursor("SELECT id FROM items WHERE id <= 1000 ORDER BY id", prefetch=50)]
            assert ids == list(range(1, 1001))
            cursor = await c.cursor("SELECT id FROM items WHERE id <= 1000 ORDER BY id")
            await cursor.forward(10)
            assert (await cursor.fetchrow())["id"] == 11


@check("COPY out and in")
async def _():
    async with Connection() as c:
        await c.execute("CREATE TEMP TABLE t (a int, b text)")
        await c.copy_records_to_table("t", records=[(n, f"tab\t{n}") for n in range(1000)])
        await c.copy_to_table("t", source=io.BytesIO(b"1000,x\n"), format="csv")
        out = io.BytesIO()
        await c.copy_from_query("SELECT * FROM t WHERE a >= $1 ORDER BY a", 998, output=out, format="csv")
        assert out.getvalue() == b"998,tab\t998\n999,tab\t999\n1000,x\n", out.getvalue()


@check("cancel of a long query")
async def _():
    async with Connection() as c:
        long = c.fetchval("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b", timeout=1)
        await raises(asyncio.TimeoutError, long)
        assert await c.fetchval("SELECT 1") == 1


@check("LISTEN and NOTIFY between two sessions")
async def _():
    async with Connection() as listener, Connection() as notifier:
        got = asyncio.get_running_loop().create_future()
        await listener.add_listener("news", lambda *args: got.set_result(args[2:]))
        await notifier.execute("NOTIFY news, 'hello'")
        assert await asyncio.wait_for(got, 10) == ("news", "hello")
        await listener.reset()


@check("a value of 10 MB, both ways")
async def _():
    async with Connection() as c:
        value = b"x" * 10_485_760
        assert await c.fetchval("SELECT $1::bytea || 'y'::bytea", value) == value + b"y"


@check("ten thousand rows")
async def _():
    async with Connection() as c:
        assert len(await c.fetch("SELECT n, md5(n::text) FROM generate_series(1, 10000) n")) == 10_000


@check("settings by startup parameter and SET")
async def _():
    c = await asyncpg.connect(**INFO, server_settings={"application_name": "checks", "search_path": "public"})
    assert await c.fetchval("SHOW application_name") == "checks"
    await c.execute("SET TimeZone = 'UTC'")
    assert c.get_settings().TimeZone == "UTC"
    await c.close()


@check("a pool of connections, each reset after use")
async def _():
    async with asyncpg.create_pool(**INFO, min_size=3, max_size=5) as pool:
        counts = await asyncio.gather(*(pool.fetchval("SELECT count(*) FROM items") for _ in range(20)))
        assert len(set(counts)) == 1


@check("reconnects")
async def _():
    for _ in range(10):
        async with Connection() as c:
            assert await c.fetchval("SELECT 1") == 1


async def main():
    for name, run in CHECKS:
        try:
            await asyncio.wait_for(run(), 60)
            report(name, None)
        except BaseException as error:  # noqa: BLE001
            report(name, error)


asyncio.run(main())
finish()

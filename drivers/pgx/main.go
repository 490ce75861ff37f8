// Command pgx runs the checks of the Go driver against the target in POSTERN_TARGET.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

type login struct{ User, Token string }

type target struct {
	Host     string
	Port     int
	Database string
	CaFile   string
	App, Dba login
}

var here target

func dsn(token string) string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(here.App.User, token),
		Host:   fmt.Sprintf("%s:%d", here.Host, here.Port),
		Path:   here.Database,
		RawQuery: url.Values{
			"sslmode": {"verify-full"}, "sslrootcert": {here.CaFile}, "connect_timeout": {"15"},
		}.Encode(),
	}
	return u.String()
}

type check struct {
	name string
	run  func(ctx context.Context, c *pgx.Conn) error
}

func sqlstate(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

func want(got, wanted any) error {
	if reflect.DeepEqual(got, wanted) {
		return nil
	}
	return fmt.Errorf("got %v, wanted %v", got, wanted)
}

func value[T any](ctx context.Context, c *pgx.Conn, sql string, args ...any) (T, error) {
	var v T
	return v, c.QueryRow(ctx, sql, args...).Scan(&v)
}

func expect[T any](ctx context.Context, c *pgx.Conn, wanted T, sql string, args ...any) error {
	got, err := value[T](ctx, c, sql, args...)
	if err != nil {
		return err
	}
	return want(got, wanted)
}

func expectState(err error, state string) error { return want(sqlstate(err), state) }

func types(mode pgx.QueryExecMode) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, c *pgx.Conn) error {
		at := time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC)
		var (
			n     int
			text  string
			raw   []byte
			when  time.Time
			doc   map[string]any
			ints  []*int32
			texts []string
			null  *string
		)
		err := c.QueryRow(ctx,
			"SELECT $1::int, $2::text, $3::bytea, $4::timestamptz, $5::jsonb, $6::int[], $7::text[], $8::text", mode,
			7, "naïve 'text'", []byte{0, 255, 1}, at, `{"a": 1}`, []int32{1, 2}, []string{"x", `y"z`}, (*string)(nil),
		).Scan(&n, &text, &raw, &when, &doc, &ints, &texts, &null)
		if err != nil {
			return err
		}
		if n != 7 || text != "naïve 'text'" || !bytes.Equal(raw, []byte{0, 255, 1}) || !when.Equal(at) ||
			doc["a"] != 1.0 || len(ints) != 2 || *ints[1] != 2 || texts[1] != `y"z` || null != nil {
			return fmt.Errorf("got %v %q %v %v %v %v %q %v", n, text, raw, when, doc, ints, texts, null)
		}
		return nil
	}
}

var checks = []check{
	{"connects with TLS verify-full and the token as password", func(ctx context.Context, c *pgx.Conn) error {
		if _, ok := c.PgConn().Conn().(interface{ HandshakeContext(context.Context) error }); !ok {
			return errors.New("the connection is not encrypted")
		}
		return expect(ctx, c, here.App.User, "SELECT current_user::text")
	}},
	{"a wrong token is refused", func(ctx context.Context, _ *pgx.Conn) error {
		_, err := pgx.Connect(ctx, dsn("wrong"))
		if state := sqlstate(err); !strings.HasPrefix(state, "28") {
			return fmt.Errorf("got %s", state)
		}
		return nil
	}},
	{"a simple query, several statements in one string", func(ctx context.Context, c *pgx.Conn) error {
		results, err := c.PgConn().Exec(ctx, "SELECT 1; SELECT 2").ReadAll()
		if err != nil {
			return err
		}
		return want(len(results), 2)
	}},
	{"parameters of many types, prepared and cached", types(pgx.QueryExecModeCacheStatement)},
	{"parameters of many types, described each time", types(pgx.QueryExecModeDescribeExec)},
	{"parameters of many types, described and cached", types(pgx.QueryExecModeCacheDescribe)},
	{"parameters in a simple query", func(ctx context.Context, c *pgx.Conn) error {
		return expect(ctx, c, "a'b", "SELECT $1::text", pgx.QueryExecModeSimpleProtocol, "a'b")
	}},
	{"a prepared statement runs again", func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Prepare(ctx, "by-id", "SELECT name FROM items WHERE id = $1"); err != nil {
			return err
		}
		for n := 1; n < 20; n++ {
			if err := expect(ctx, c, fmt.Sprintf("item %d", n), "by-id", n); err != nil {
				return err
			}
		}
		return c.Deallocate(ctx, "by-id")
	}},
	{"a batch, all or nothing", func(ctx context.Context, c *pgx.Conn) error {
		batch := &pgx.Batch{}
		for n := range 100 {
			batch.Queue("INSERT INTO items (id, name) VALUES ($1, $2)", 8000+n, "x")
		}
		batch.Queue("DROP TABLE items")
		if err := expectState(c.SendBatch(ctx, batch).Close(), "42501"); err != nil {
			return err
		}
		return expect(ctx, c, 0, "SELECT count(*)::int FROM items WHERE id >= 8000")
	}},
	{"a pipeline with several Sync messages", func(ctx context.Context, c *pgx.Conn) error {
		p := c.PgConn().StartPipeline(ctx)
		for _, sql := range []string{"SELECT 1", "SELECT 1/0", "SELECT 2"} {
			p.SendQueryParams(sql, nil, nil, nil, nil)
			if err := p.Sync(); err != nil {
				return err
			}
		}
		var states []string
		for {
			result, err := p.GetResults()
			if err != nil {
				states = append(states, sqlstate(err))
				continue
			}
			reader, ok := result.(*pgconn.ResultReader)
			if _, sync := result.(*pgconn.PipelineSync); sync {
				if states = append(states, "sync"); len(states) == 6 {
					break
				}
			} else if ok {
				read := reader.Read()
				if read.Err != nil {
					states = append(states, sqlstate(read.Err))
				} else {
					states = append(states, string(read.Rows[0][0]))
				}
			}
		}
		if err := p.Close(); err != nil {
			return err
		}
		return want(states, []string{"1", "sync", "22012", "sync", "2", "sync"})
	}},
	{"commit and rollback", func(ctx context.Context, c *pgx.Conn) error {
		for id, keep := range map[int]bool{8001: true, 8002: false} {
			tx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
			if err != nil {
				return err
			}
			if _, err = tx.Exec(ctx, "INSERT INTO items (id, name) VALUES ($1, 'x')", id); err != nil {
				return err
			}
			if keep {
				err = tx.Commit(ctx)
			} else {
				err = tx.Rollback(ctx)
			}
			if err != nil {
				return err
			}
		}
		if err := expect(ctx, c, 8001, "SELECT sum(id)::int FROM items WHERE id > 8000"); err != nil {
			return err
		}
		_, err := c.Exec(ctx, "DELETE FROM items WHERE id = 8001")
		return err
	}},
	{"an error in a transaction, a savepoint, a rollback", func(ctx context.Context, c *pgx.Conn) error {
		tx, err := c.Begin(ctx)
		if err != nil {
			return err
		}
		inner, err := tx.Begin(ctx)
		if err != nil {
			return err
		}
		if _, err = inner.Exec(ctx, "SELECT 1/0"); expectState(err, "22012") != nil {
			return err
		}
		if err = inner.Rollback(ctx); err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, "SELECT 1/$1::int", 0); expectState(err, "22012") != nil {
			return err
		}
		if _, err = tx.Exec(ctx, "SELECT 1"); expectState(err, "25P02") != nil {
			return err
		}
		if err = tx.Rollback(ctx); err != nil {
			return err
		}
		return expect(ctx, c, 1, "SELECT 1")
	}},
	{"a denied statement is 42501 and the session goes on", func(ctx context.Context, c *pgx.Conn) error {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
			_, err := c.Exec(ctx, "DROP TABLE items", mode)
			if err = expectState(err, "42501"); err != nil {
				return err
			}
			_, err = c.Exec(ctx, "SELECT * FROM secrets WHERE id = $1", mode, 1)
			if err = expectState(err, "42501"); err != nil {
				return err
			}
		}
		return expect(ctx, c, 1, "SELECT 1")
	}},
	{"COPY out and in", func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "CREATE TEMP TABLE t (a int, b text)"); err != nil {
			return err
		}
		rows := pgx.CopyFromSlice(1000, func(n int) ([]any, error) { return []any{n, fmt.Sprintf("tab\t%d", n)}, nil })
		if n, err := c.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"a", "b"}, rows); err != nil || n != 1000 {
			return fmt.Errorf("%d rows, %w", n, err)
		}
		if _, err := c.PgConn().CopyFrom(ctx, strings.NewReader("1000\tx\n"), "COPY t FROM STDIN"); err != nil {
			return err
		}
		var out bytes.Buffer
		if _, err := c.PgConn().CopyTo(ctx, &out, "COPY (SELECT * FROM t WHERE a >= 999 ORDER BY a) TO STDOUT (FORMAT csv)"); err != nil {
			return err
		}
		return want(out.String(), "999,tab\t999\n1000,x\n")
	}},
	{"cancel of a long query", func(ctx context.Context, c *pgx.Conn) error {
		go func() {
			time.Sleep(time.Second)
			_ = c.PgConn().CancelRequest(context.Background())
		}()
		_, err := c.Exec(ctx, "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b")
		if err = expectState(err, "57014"); err != nil {
			return err
		}
		return expect(ctx, c, 1, "SELECT 1")
	}},
	{"LISTEN and NOTIFY between two sessions", func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "LISTEN news"); err != nil {
			return err
		}
		other, err := pgx.Connect(ctx, dsn(here.App.Token))
		if err != nil {
			return err
		}
		defer other.Close(ctx)
		if _, err = other.Exec(ctx, "NOTIFY news, 'hello'"); err != nil {
			return err
		}
		n, err := c.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		return want(n.Payload, "hello")
	}},
	{"a value of 10 MB, both ways", func(ctx context.Context, c *pgx.Conn) error {
		text := strings.Repeat("x", 10_485_760)
		return expect(ctx, c, text+"y", "SELECT $1::text || 'y'", text)
	}},
	{"a portal with a row limit, suspended and resumed", func(ctx context.Context, c *pgx.Conn) error {
		tx, err := c.Begin(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback(ctx)
		if _, err = tx.Exec(ctx, "DECLARE portion CURSOR FOR SELECT id FROM items WHERE id <= 1000 ORDER BY id"); err != nil {
			return err
		}
		total := 0
		for {
			rows, _ := tx.Query(ctx, "FETCH 64 FROM portion")
			ids, err := pgx.CollectRows(rows, pgx.RowTo[int])
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				return want(total, 1000)
			}
			total += len(ids)
		}
	}},
	{"types looked up in the catalogue", func(ctx context.Context, c *pgx.Conn) error {
		loaded, err := c.LoadType(ctx, "items")
		if err != nil {
			return err
		}
		return want(loaded.Name, "items")
	}},
	{"a pool of connections", func(ctx context.Context, _ *pgx.Conn) error {
		pool, err := pgxpool.New(ctx, dsn(here.App.Token)+"&pool_max_conns=5")
		if err != nil {
			return err
		}
		defer pool.Close()
		done := make(chan error)
		for range 20 {
			go func() {
				var n int
				done <- pool.QueryRow(ctx, "SELECT count(*) FROM items").Scan(&n)
			}()
		}
		for range 20 {
			err = errors.Join(err, <-done)
		}
		return err
	}},
	{"reconnects", func(ctx context.Context, _ *pgx.Conn) error {
		for range 10 {
			c, err := pgx.Connect(ctx, dsn(here.App.Token))
			if err != nil {
				return err
			}
			if err = errors.Join(c.Ping(ctx), c.Close(ctx)); err != nil {
				return err
			}
		}
		return nil
	}},
}

func run(one check) error {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	c, err := pgx.Connect(ctx, dsn(here.App.Token))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	return one.run(ctx, c)
}

func main() {
	if err := json.Unmarshal([]byte(os.Getenv("POSTERN_TARGET")), &here); err != nil {
		fmt.Fprintln(os.Stderr, "POSTERN_TARGET:", err)
		os.Exit(2)
	}
	status := 0
	for _, one := range checks {
		if err := run(one); err != nil {
			status = 1
			fmt.Printf("not ok %s\n# %s\n", one.name, strings.ReplaceAll(err.Error(), "\n", "\n# "))
		} else {
			fmt.Printf("ok %s\n", one.name)
		}
	}
	os.Exit(status)
}

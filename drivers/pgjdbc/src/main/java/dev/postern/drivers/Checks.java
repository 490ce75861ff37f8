package dev.postern.drivers;

import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.Timer;
import java.util.TimerTask;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PGobject;

/** Runs the checks of the Java driver against the target in POSTERN_TARGET. */
public final class Checks {
  private interface Check {
    void run(Connection c) throws Exception;
  }

  private interface Action {
    void run() throws Exception;
  }

  private static final String LONG_QUERY =
      "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b";
  private static final List<Map.Entry<String, Check>> CHECKS = new ArrayList<>();
  private static final Map<String, String> TARGET = readTarget();

  /** Flat fields by name, those of `app` and `dba` with their prefix; the target holds no other JSON than this. */
  private static Map<String, String> readTarget() {
    String json = System.getenv("POSTERN_TARGET");
    Map<String, String> fields = new TreeMap<>();
    Matcher matcher =
        Pattern.compile("\"(app|dba)\":\\{|\"(\\w+)\":(?:\"((?:[^\"\\\\]|\\\\.)*)\"|(\\d+))|\\}").matcher(json);
    String prefix = "";
    while (matcher.find()) {
      if (matcher.group(1) != null) prefix = matcher.group(1) + ".";
      else if (matcher.group(2) == null) prefix = "";
      else fields.put(prefix + matcher.group(2), Objects.requireNonNullElse(matcher.group(3), matcher.group(4)));
    }
    return fields;
  }

  private static Connection connect(String... more) throws SQLException {
    Properties p = new Properties();
    p.put("user", TARGET.get("app.user"));
    p.put("password", TARGET.get("app.token"));
    p.put("sslmode", "verify-full");
    p.put("sslrootcert", TARGET.get("caFile"));
    p.put("connectTimeout", "15");
    p.put("socketTimeout", "60");
    for (int i = 0; i < more.length; i += 2) p.put(more[i], more[i + 1]);
    String url = "jdbc:postgresql://%s:%s/%s";
    return DriverManager.getConnection(url.formatted(TARGET.get("host"), TARGET.get("port"), TARGET.get("database")), p);
  }

  private static void check(String name, Check check) {
    CHECKS.add(Map.entry(name, check));
  }

  private static void want(Object got, Object wanted) {
    if (!Objects.deepEquals(got, wanted)) throw new AssertionError("got " + got + ", wanted " + wanted);
  }

  private static SQLException state(String wanted, Action action) throws Exception {
    try {
      action.run();
    } catch (SQLException e) {
      want(e.getSQLState(), wanted);
      return e;
    }
    throw new AssertionError("no error " + wanted);
  }

  private static String one(Connection c, String sql, Object... args) throws SQLException {
    try (PreparedStatement s = c.prepareStatement(sql)) {
      for (int i = 0; i < args.length; i++) s.setObject(i + 1, args[i]);
      try (ResultSet r = s.executeQuery()) {
        r.next();
        return r.getString(1);
      }
    }
  }

  private static void execute(Connection c, String sql) throws SQLException {
    try (Statement s = c.createStatement()) {
      s.execute(sql);
    }
  }

  private static int count(ResultSet rows) throws SQLException {
    int n = 0;
    try (rows) {
      while (rows.next()) n++;
    }
    return n;
  }

  private static void types(Connection c) throws Exception {
    OffsetDateTime at = OffsetDateTime.of(2026, 1, 2, 3, 4, 5, 678_000_000, ZoneOffset.UTC);
    PGobject doc = new PGobject();
    doc.setType("jsonb");
    doc.setValue("{\"a\": 1}");
    String sql = "SELECT ?::int, ?::text, ?::bytea, ?::timestamptz, ?, ?::int[], ?::text[], ?::text, ?::numeric";
    try (PreparedStatement s = c.prepareStatement(sql)) {
      for (int round = 0; round < 8; round++) {
        s.setInt(1, 7);
        s.setString(2, "naïve 'text'");
        s.setBytes(3, new byte[] {0, -1, 1});
        s.setObject(4, at);
        s.setObject(5, doc);
        s.setArray(6, c.createArrayOf("int4", new Integer[] {1, 2, null}));
        s.setArray(7, c.createArrayOf("text", new String[] {"x", "y\"z"}));
        s.setNull(8, Types.VARCHAR);
        s.setBigDecimal(9, new BigDecimal("12.50"));
        try (ResultSet r = s.executeQuery()) {
          r.next();
          want(r.getInt(1), 7);
          want(r.getString(2), "naïve 'text'");
          want(Arrays.toString(r.getBytes(3)), "[0, -1, 1]");
          want(r.getObject(4, OffsetDateTime.class).toInstant(), at.toInstant());
          want(r.getString(5), "{\"a\": 1}");
          want(Arrays.toString((Object[]) r.getArray(6).getArray()), "[1, 2, null]");
          want(Arrays.toString((Object[]) r.getArray(7).getArray()), "[x, y\"z]");
          want(r.getString(8), null);
          want(r.getBigDecimal(9), new BigDecimal("12.50"));
        }
      }
    }
  }

  private static void withTypes(String... properties) throws Exception {
    try (Connection c = connect(properties)) {
      types(c);
    }
  }

  private static void connections() {
    check("connects with TLS verify-full and the token as password", c -> {
      want(one(c, "SELECT current_user"), TARGET.get("app.user"));
      want(one(c, "SHOW application_name"), "PostgreSQL JDBC Driver");
    });
    check("a wrong token is refused", c -> {
      try (Connection wrong = connect("password", "wrong")) {
        throw new AssertionError("it was let in");
      } catch (SQLException e) {
        want(e.getSQLState().substring(0, 2), "28");
      }
    });
    check("isValid, setReadOnly, setTransactionIsolation, setSchema, setNetworkTimeout", c -> {
      want(c.isValid(5), true);
      c.setReadOnly(true);
      c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
      c.setSchema("public");
      c.setNetworkTimeout(Runnable::run, 30_000);
      want(c.getTransactionIsolation(), Connection.TRANSACTION_SERIALIZABLE);
      want(c.getSchema(), "public");
    });
    check("reconnects", c -> {
      for (int i = 0; i < 10; i++) {
        try (Connection again = connect()) {
          want(one(again, "SELECT 1"), "1");
        }
      }
    });
  }

  private static void queries() {
    check("a simple query, several statements in one string", c -> {
      try (Statement s = c.createStatement()) {
        want(s.execute("SELECT 1; SELECT 2"), true);
        want(s.getMoreResults(), true);
        s.getResultSet().next();
        want(s.getResultSet().getInt(1), 2);
      }
    });
    check("parameters of many types, text", c -> withTypes("binaryTransfer", "false"));
    check("parameters of many types, prepared and binary from the first use", c ->
        withTypes("prepareThreshold", "-1", "binaryTransfer", "true"));
    check("parameters of many types, prepared after five uses", Checks::types);
    check("parameters in the simple protocol", c -> withTypes("preferQueryMode", "simple"));
    check("a prepared statement runs again", c -> {
      try (PreparedStatement s = c.prepareStatement("SELECT name FROM items WHERE id = ?")) {
        for (int n = 1; n < 20; n++) {
          s.setInt(1, n);
          try (ResultSet r = s.executeQuery()) {
            r.next();
            want(r.getString(1), "item " + n);
          }
        }
      }
    });
    check("a batch, generated keys, and an error in a batch", c -> {
      c.setAutoCommit(false);
      String sql = "INSERT INTO orders (item_id, note) VALUES (?, ?)";
      try (PreparedStatement s = c.prepareStatement(sql, Statement.RETURN_GENERATED_KEYS)) {
        for (int n = 1; n <= 300; n++) {
          s.setInt(1, n);
          s.setString(2, "batch");
          s.addBatch();
        }
        want(s.executeBatch().length, 300);
        want(count(s.getGeneratedKeys()), 300);
      }
      c.rollback();
      try (Statement s = c.createStatement()) {
        s.addBatch("INSERT INTO orders (item_id, note) VALUES (1, 'batch')");
        s.addBatch("DROP TABLE items");
        s.addBatch("INSERT INTO orders (item_id, note) VALUES (2, 'batch')");
        BatchUpdateException e = (BatchUpdateException) state("42501", s::executeBatch);
        want(e.getUpdateCounts().length <= 3, true);
      }
      c.rollback();
      want(one(c, "SELECT count(*) FROM orders WHERE note = 'batch'"), "0");
    });
    check("a fetch size: portals with a row limit, suspended and resumed", c -> {
      c.setAutoCommit(false);
      try (Statement s = c.createStatement()) {
        s.setFetchSize(64);
        want(count(s.executeQuery("SELECT id FROM items WHERE id <= 1000")), 1000);
      }
    });
    check("a scrollable result", c -> {
      try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
          ResultSet r = s.executeQuery("SELECT id FROM items WHERE id <= 1000 ORDER BY id")) {
        want(r.absolute(500) && r.getInt(1) == 500, true);
        want(r.last() && r.getInt(1) == 1000, true);
      }
    });
    check("a value of 10 MB, both ways", c -> {
      String text = "x".repeat(10_485_760);
      want(one(c, "SELECT ?::text || 'y'", text), text + "y");
    });
    check("ten thousand rows", c -> {
      try (Statement s = c.createStatement()) {
        want(count(s.executeQuery("SELECT n, md5(n::text) FROM generate_series(1, 10000) n")), 10_000);
      }
    });
  }

  private static void transactions() {
    check("commit and rollback", c -> {
      c.setAutoCommit(false);
      execute(c, "INSERT INTO items (id, name) VALUES (9001, 'kept')");
      c.commit();
      execute(c, "INSERT INTO items (id, name) VALUES (9002, 'gone')");
      c.rollback();
      want(one(c, "SELECT sum(id) FROM items WHERE id > 9000"), "9001");
      execute(c, "DELETE FROM items WHERE id = 9001");
      c.commit();
    });
    check("an error in a transaction, a savepoint, a rollback", c -> {
      c.setAutoCommit(false);
      Savepoint saved = c.setSavepoint("saved");
      state("22012", () -> execute(c, "SELECT 1/0"));
      c.rollback(saved);
      want(one(c, "SELECT 1"), "1");
      state("22012", () -> one(c, "SELECT 1/?::int", 0));
      state("25P02", () -> one(c, "SELECT 1"));
      c.rollback();
      want(one(c, "SELECT 1"), "1");
    });
    check("autosave: a savepoint around every statement", c -> {
      try (Connection saving = connect("autosave", "always")) {
        saving.setAutoCommit(false);
        state("22012", () -> execute(saving, "SELECT 1/0"));
        want(one(saving, "SELECT 1"), "1");
      }
    });
    check("a denied statement is 42501 and the session goes on", c -> {
      state("42501", () -> execute(c, "DROP TABLE items"));
      state("42501", () -> one(c, "SELECT word FROM secrets WHERE id = ?", 1));
      want(one(c, "SELECT 1"), "1");
    });
    check("a denied statement in a transaction aborts it", c -> {
      c.setAutoCommit(false);
      execute(c, "INSERT INTO items (id, name) VALUES (9003, 'x')");
      state("42501", () -> execute(c, "DROP TABLE items"));
      state("25P02", () -> one(c, "SELECT 1"));
      c.rollback();
      want(one(c, "SELECT count(*) FROM items WHERE id = 9003"), "0");
    });
    check("cancel of a long query, by cancel() and by timeout", c -> {
      try (Statement s = c.createStatement()) {
        Timer timer = new Timer(true);
        timer.schedule(new TimerTask() {
          @Override
          public void run() {
            try {
              s.cancel();
            } catch (SQLException e) {
              throw new IllegalStateException(e);
            }
          }
        }, 1000);
        state("57014", () -> s.executeQuery(LONG_QUERY));
        timer.cancel();
        s.setQueryTimeout(1);
        state("57014", () -> s.executeQuery(LONG_QUERY));
      }
      want(one(c, "SELECT 1"), "1");
    });
  }

  private static void extras() {
    check("COPY out and in", c -> {
      execute(c, "CREATE TEMP TABLE t (a int, b text)");
      CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
      want(copy.copyIn("COPY t FROM STDIN (FORMAT csv)", new StringReader("1,\"a \"\"b\"\"\"\n2,\n")), 2L);
      StringWriter out = new StringWriter();
      copy.copyOut("COPY (SELECT * FROM t ORDER BY a) TO STDOUT (FORMAT csv)", out);
      want(out.toString(), "1,\"a \"\"b\"\"\"\n2,\n");
    });
    check("LISTEN and NOTIFY between two sessions", c -> {
      execute(c, "LISTEN news");
      try (Connection other = connect()) {
        execute(other, "NOTIFY news, 'hello'");
      }
      want(c.unwrap(PGConnection.class).getNotifications(10_000)[0].getParameter(), "hello");
    });
    check("metadata: tables, columns, keys, indexes, types, functions", c -> {
      DatabaseMetaData m = c.getMetaData();
      want(m.getDatabaseProductName(), "PostgreSQL");
      want(count(m.getTables(null, "public", "items", new String[] {"TABLE"})), 1);
      want(count(m.getTables(null, "public", "%", new String[] {"VIEW"})), 1);
      want(count(m.getColumns(null, "public", "items", "%")), 7);
      want(count(m.getPrimaryKeys(null, "public", "items")), 1);
      want(count(m.getImportedKeys(null, "public", "orders")), 1);
      want(count(m.getExportedKeys(null, "public", "items")), 1);
      want(count(m.getIndexInfo(null, "public", "orders", false, true)), 2);
      want(count(m.getSchemas()) > 0 && count(m.getCatalogs()) > 0 && count(m.getTypeInfo()) > 0, true);
      want(count(m.getFunctions(null, "public", "item_label")), 1);
      want(count(m.getTablePrivileges(null, "public", "items")) > 0, true);
    });
    check("metadata of a statement and its result", c -> {
      try (PreparedStatement s = c.prepareStatement("SELECT id, name FROM items WHERE id = ?")) {
        want(s.getParameterMetaData().getParameterTypeName(1), "int4");
        want(s.getMetaData().getColumnName(2), "name");
        want(s.getMetaData().isNullable(2), java.sql.ResultSetMetaData.columnNoNulls);
      }
    });
    check("warnings arrive", c -> {
      try (Statement s = c.createStatement()) {
        s.execute("CREATE TEMP TABLE IF NOT EXISTS twice (a int)");
        s.execute("CREATE TEMP TABLE IF NOT EXISTS twice (a int)");
        want(s.getWarnings() != null, true);
      }
    });
  }

  private static boolean passes(Map.Entry<String, Check> check) {
    try (Connection c = connect()) {
      check.getValue().run(c);
      System.out.println("ok " + check.getKey());
      return true;
    } catch (Exception | AssertionError e) {
      System.out.println("not ok " + check.getKey());
      System.out.println(("# " + e).replace("\n", "\n# "));
      return false;
    }
  }

  /** Exits with 1 when a check has failed. */
  public static void main(String[] args) {
    connections();
    queries();
    transactions();
    extras();
    boolean good = true;
    for (Map.Entry<String, Check> check : CHECKS) good &= passes(check);
    System.exit(good ? 0 : 1);
  }
}

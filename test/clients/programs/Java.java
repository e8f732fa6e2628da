// Java.java: see protocol.md.

import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Collections;

public class Java {
    private static Connection connection;

    private static String content(String key) throws Exception {
        return Files.readString(Path.of("/etc/dbpair/app", key));
    }

    // The trust store, which MySQL's driver takes, has what ca.crt has.
    private static void compareTrustStore() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(Path.of("/etc/dbpair/app/truststore.p12"))) {
            store.load(in, "changeit".toCharArray());
        }
        try (InputStream in = Files.newInputStream(Path.of("/etc/dbpair/app/ca.crt"))) {
            Certificate ca = CertificateFactory.getInstance("X.509").generateCertificate(in);
            for (String alias : Collections.list(store.aliases())) {
                if (store.isCertificateEntry(alias) && store.getCertificate(alias).equals(ca)) {
                    return;
                }
            }
        }
        throw new SQLException("truststore.p12 does not trust ca.crt");
    }

    private static String answer(String line) throws Exception {
        if (line.equals("connect")) {
            compareTrustStore();
            connection = DriverManager.getConnection(content("dsn-jdbc-mariadb"), content("username"), content("password"));
            return "ok";
        }
        if (connection == null) {
            return "error\t0\tnone\tnot connected";
        }
        try (Statement statement = connection.createStatement()) {
            if (!statement.execute(line)) {
                return "ok";
            }
            ResultSet rows = statement.getResultSet();
            return rows.next() ? "ok\t" + rows.getString(1) : "ok";
        }
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = "connect"; line != null && !line.isEmpty(); line = in.readLine()) {
            String answer;
            try {
                answer = answer(line);
            } catch (SQLException e) {
                StringBuilder text = new StringBuilder();
                for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                    text.append(cause.getMessage()).append(' ');
                }
                answer = "error\t" + e.getErrorCode() + "\t" + e.getSQLState() + "\t" + text.toString().replaceAll("[\t\n]", " ");
            }
            out.println(answer);
        }
    }
}

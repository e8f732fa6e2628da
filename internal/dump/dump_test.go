package dump

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var testRules = Rules{
	DisabledEngines: []string{"MyISAM", "MEMORY"},
	Accounts:        []string{"app@%", "root@localhost"},
}

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		dump string
		want []string
	}{
		"an ordinary table": {
			dump: "-- MySQL dump 10.13\nDROP TABLE IF EXISTS `t`;\n/*!40101 SET @saved_cs_client = @@character_set_client */;\n" +
				"CREATE TABLE `t` (\n  `id` int COMMENT 'ENGINE=MyISAM; SET sql_log_bin=0;'\n) ENGINE=InnoDB;\nINSERT INTO `t` VALUES (1);\n-- Dump completed on today\n",
		},
		"the head of a dump with GTIDs": {
			dump: "SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;\nSET @@SESSION.SQL_LOG_BIN= 0;\n\n--\n-- GTID state\n--\n\n" +
				"SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '3e11:1-5,\n4e11:1';\nSET @@SESSION.SQL_LOG_BIN = @MYSQLDUMP_TEMP_LOG_BIN;\n",
			want: []string{
				"line 2 and 1 more: bypasses the binary log: sql_log_bin",
				"line 8: bypasses the binary log: gtid_purged",
			},
		},
		"a variable in the middle of others, in any writing": {
			dump: "set names utf8mb4, session sql_log_bin = off;",
			want: []string{"line 1: bypasses the binary log: sql_log_bin"},
		},
		"in a version comment": {
			dump: "/*!50606 SET @@sql_log_bin=0 */;",
			want: []string{"line 1: bypasses the binary log: sql_log_bin"},
		},
		"what only looks like it": {
			dump: "SET @a = 'x; SET sql_log_bin = 0';\n# SET sql_log_bin = 0;\n-- SET sql_log_bin = 0;\n/* SET sql_log_bin = 0; */ SELECT 1--1;\nINSERT INTO t VALUES ('it\\'s; SET sql_log_bin=0;', 'a''b');",
		},
		"all databases": {
			dump: "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `mysql` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;\nUSE `mysql`;\nINSERT INTO mysql.user VALUES (1);\nUSE `mysqlish`;\n",
			want: []string{"line 1 and 2 more: writes into a system schema: mysql"},
		},
		"an engine that is disabled": {
			dump: "CREATE TABLE a (id INT) ENGINE=myisam;\nCREATE TABLE b (id INT) ENGINE = InnoDB;\nCREATE TABLE c (id INT) engine MEMORY;\n",
			want: []string{
				"line 1: uses a storage engine that is disabled: myisam",
				"line 3: uses a storage engine that is disabled: MEMORY",
			},
		},
		"definers": {
			dump: "DELIMITER ;;\n/*!50003 CREATE*/ /*!50017 DEFINER=`gone`@`10.%`*/ /*!50003 TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN SET @a = 1; END */;;\n" +
				"DELIMITER ;\nCREATE DEFINER=`app`@`%` VIEW v AS SELECT 1;\nCREATE DEFINER = root@localhost PROCEDURE p() SELECT 1;\nSET @b = 1;\n",
			want: []string{"line 2: names a definer that does not exist: gone@10.%"},
		},
		"replication": {
			dump: "STOP REPLICA;\nCHANGE MASTER TO MASTER_LOG_FILE='a';\nRESET BINARY LOGS AND GTIDS;",
			want: []string{
				"line 1: changes replication: STOP REPLICA",
				"line 2: changes replication: CHANGE MASTER",
				"line 3: changes replication: RESET BINARY LOGS",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := Check(strings.NewReader(tt.dump), testRules)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, f.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestACutOffDumpIsRefused(t *testing.T) {
	for name, dump := range map[string]string{
		"statement":       "INSERT INTO t VALUES (1)",
		"string":          "INSERT INTO t VALUES ('a;\n",
		"escape":          "INSERT INTO t VALUES ('a\\",
		"name":            "INSERT INTO `t",
		"comment":         "SELECT 1; /* and",
		"version comment": "/*!40101 SET NAMES utf8 ",
		"last line":       "-- MySQL dump 10.13  Distrib 9.7\nSELECT 1;\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Check(strings.NewReader(dump), testRules); !errors.Is(err, ErrCutOff) {
				t.Errorf("error %v, want %v", err, ErrCutOff)
			}
		})
	}
}

func TestStrip(t *testing.T) {
	const dump = "/*M!999999\\- enable the sandbox mode */ \nSET @x = @@SESSION.SQL_LOG_BIN;\nSET @@SESSION.SQL_LOG_BIN= 0;\n-- GTID\nSET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'a:1-5,\nb:1';\n" +
		"DELIMITER ;;\nCREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW BEGIN SET @a = ';'; END;;\nDELIMITER ;\nINSERT INTO t VALUES ('SET sql_log_bin=0;');\n"
	const want = " \nSET @x = @@SESSION.SQL_LOG_BIN;\n\n\n\n\n" +
		"DELIMITER ;;\nCREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW BEGIN SET @a = ';'; END;;\nDELIMITER ;\nINSERT INTO t VALUES ('SET sql_log_bin=0;');\n"
	var out strings.Builder
	if err := Strip(strings.NewReader(dump), &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// TestStripKeepsEverythingElse: of statements that bypass nothing not a byte changes, whatever
// their strings and comments hold.
func TestStripKeepsEverythingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{
			"SELECT 1", "'a;b'", "\"q\\\"\"", "`n;`", " ", "\n", "-- c;\n", "# c;\n", "/* c; */", "/*!40101 SET NAMES utf8 */", ";", "SET @a = 1", "\x00", "é", "a-b",
		})
		dump := strings.Join(rapid.SliceOf(part).Draw(t, "parts"), "") + "\nSELECT 1;\n"
		var out strings.Builder
		if err := Strip(strings.NewReader(dump), &out); err != nil {
			t.Fatalf("%q: %v", dump, err)
		}
		if out.String() != dump {
			t.Fatalf("%q became %q", dump, out.String())
		}
	})
}

// TestStripDoesNotHoldLongStatements: what is kept of a dump in memory does not grow with its
// statements.
func TestStripDoesNotHoldLongStatements(t *testing.T) {
	long := "INSERT INTO t VALUES ('" + strings.Repeat("x", 8<<20) + "');\n"
	largest := 0
	s := newScanner(strings.NewReader(long), func(statement) bool { return false }, func(text []byte) error {
		largest = max(largest, len(text))
		return nil
	})
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	if largest > 128<<10 {
		t.Errorf("%d bytes were held", largest)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("SET sql_log_bin = 0;\nDELIMITER ;;\nCREATE DEFINER=`a`@`b` VIEW v AS SELECT 1;;")
	f.Add("/*!50003 CREATE*/ '")
	f.Fuzz(func(t *testing.T, dump string) {
		_, err := Check(strings.NewReader(dump), testRules)
		var out strings.Builder
		if err == nil && Strip(strings.NewReader(dump), &out) != nil {
			t.Fatal("a dump that was checked cannot be stripped")
		}
		if found, err2 := Check(strings.NewReader(out.String()), testRules); err == nil && err2 == nil {
			for _, f := range found {
				if f.Kind == Bypass {
					t.Fatalf("%q still has %s", out.String(), f)
				}
			}
		}
	})
}

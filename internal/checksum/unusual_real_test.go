package checksum

// testUnusualTablesAreCompared: names in capitals, with dots and of another script, triggers, an index of many values, values of ENUM
// that look like none, and a view whose table is gone.
func testUnusualTablesAreCompared(w *world) {
	w.Cleanup(func() { w.dropping("Odd") })
	w.exec("CREATE DATABASE Odd", "CREATE TABLE Odd.Orders (id INT PRIMARY KEY, note VARCHAR(60), state ENUM('', '0', 'done'))",
		"CREATE TABLE Odd.audit (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(60))",
		"CREATE TRIGGER Odd.tr AFTER UPDATE ON Odd.Orders FOR EACH ROW INSERT INTO Odd.audit (what) VALUES (NEW.note)",
		"INSERT INTO Odd.Orders VALUES (1, 'one', ''), (2, 'two', '0'), (3, NULL, 'done'), (4, '', '')",
		"CREATE TABLE Odd.tags (id INT PRIMARY KEY, list JSON, INDEX ((CAST(list->'$' AS UNSIGNED ARRAY))))",
		"INSERT INTO Odd.tags VALUES (1, '[1, 2, 3]'), (2, '[]')",
		"CREATE TABLE Odd.`prices.2026` (id INT PRIMARY KEY, `größe.µ` VARCHAR(9) CHARACTER SET utf8mb4)",
		"INSERT INTO Odd.`prices.2026` VALUES (1, 'ÄÖ'), (2, '✓')",
		"CREATE TABLE Odd.base (id INT PRIMARY KEY)", "CREATE VIEW Odd.orphan AS SELECT id FROM Odd.base", "DROP TABLE Odd.base")
	w.sync()
	options := w.options()
	options.Include = []string{"Odd"}
	report := w.compare(options)
	if report.SchemaDriftCount != 0 {
		w.Errorf("drift of definitions: %+v", report.SchemaDrift)
	}
	for name, rows := range map[string]int64{"Odd.Orders": 4, "Odd.audit": 0, "Odd.tags": 2, "Odd.prices.2026": 2} {
		if table := report.table(name); table.State != Consistent || table.Rows != rows {
			w.Errorf("%s with %d rows: %+v", name, rows, table)
		}
	}
	// The trigger writes two rows, of which the primary knows nothing either.
	w.plant("UPDATE Odd.Orders SET note = '' WHERE id = 3", "UPDATE Odd.Orders SET state = '0' WHERE id = 4",
		"UPDATE Odd.tags SET list = '[1, 2, 4]' WHERE id = 1", "UPDATE Odd.`prices.2026` SET `größe.µ` = 'äö' WHERE id = 1")
	report = w.compare(options)
	for name, changed := range map[string]int64{"Odd.Orders": 2, "Odd.tags": 1, "Odd.prices.2026": 1} {
		if table := report.table(name); table.State != Different || table.Changed != changed || table.Missing+table.Extra != 0 {
			w.Errorf("%s, of which %d rows were changed: %+v", name, changed, table)
		}
	}
	if table := report.table("Odd.audit"); table.State != Different || table.Extra != 2 {
		w.Errorf("what the trigger wrote: %+v", table)
	}
}

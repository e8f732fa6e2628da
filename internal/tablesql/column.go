package tablesql

import "strings"

func (c Column) isFloat() bool { return c.Type == "float" || c.Type == "double" }

// isNumberCoded: stored as a number that is exact where the text is not
// (members of an ENUM may look alike).
func (c Column) isNumberCoded() bool { return c.Type == "bit" || c.Type == "enum" || c.Type == "set" }

func (c Column) isTemporal() bool {
	switch c.Type {
	case "date", "time", "datetime", "timestamp":
		return true
	}
	return false
}

func (c Column) isCharacter() bool { return c.Charset != "" && c.isBytes() && !c.isJSON() }

// isLarge: may be longer than a row's other columns together.
func (c Column) isLarge() bool {
	switch c.Type {
	case "tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob", "vector":
		return true
	}
	return c.isSpatial()
}

func (c Column) isSpatial() bool {
	switch c.Type {
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
		"geometrycollection", "geomcollection":
		return true
	}
	return false
}

// isHashed: always hashed by itself. The text of JSON is made again at each use,
// and MySQL joins no VECTOR to anything else.
func (c Column) isHashed() bool { return c.isJSON() || c.Type == "vector" }

func (c Column) isJSON() bool { return c.Type == "json" }

// plainKinds are those values of JSON whose kind follows from their text: what is quoted is
// a STRING, digits alone are an INTEGER, others a DOUBLE, unless jsonKinds says otherwise.
const plainKinds = "'STRING','INTEGER','DOUBLE','OBJECT','ARRAY','BOOLEAN','NULL'"

// jsonKinds are expressions that, beside its text, tell a JSON value from all others: the
// kind of the value itself, and a hash of the kinds of the members of objects and of the
// elements of arrays in it, at any depth, by their place. What the kinds are is in plainKinds.
func (c Column) jsonKinds() []string {
	name := Name(c.Name)
	within := func(path string) string {
		return "(SELECT HEX(BIT_XOR(UNHEX(SHA2(CONCAT_WS('#',n,JSON_TYPE(v)),224)))) FROM JSON_TABLE(" + name + ",_utf8mb4'" + path +
			"' COLUMNS (n FOR ORDINALITY, v JSON PATH _utf8mb4'$')) k WHERE JSON_TYPE(v) NOT IN (" + plainKinds + "))"
	}
	return []string{"JSON_TYPE(" + name + ")", within("$**.*"), within("$**[*]")}
}

// isBytes: its text may hold any byte, so that it needs its length beside it.
func (c Column) isBytes() bool {
	switch c.Type {
	case "char", "varchar", "binary", "varbinary", "json":
		return true
	}
	return c.isLarge() || !c.isKnown()
}

// isKnown: its text holds digits and signs only, or it is coded as a number. A
// type that a later server brings is treated as bytes.
func (c Column) isKnown() bool {
	switch c.Type {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year":
		return true
	}
	return c.isFloat() || c.isNumberCoded() || c.isTemporal()
}

// isOrdered: fit for a key whose ranges can be written as literals.
func (c Column) isOrdered() bool {
	switch c.Type {
	case "char", "varchar", "binary", "varbinary":
		return true
	}
	return c.isKnown()
}

// Source is the expression that Literal reads. It loses nothing: 1E0 makes a
// FLOAT exact, which is printed with six digits otherwise, and keeps -0.
func (c Column) Source() string {
	name := Name(c.Name)
	switch {
	case c.isFloat():
		return name + "*1E0"
	case c.isNumberCoded():
		return "CAST(" + name + " AS UNSIGNED)"
	case c.isSpatial():
		return "HEX(CAST(" + name + " AS BINARY))"
	case c.isBytes():
		return "HEX(" + name + ")"
	}
	return name
}

// Literal makes an SQL literal of a value of Source; nil is NULL.
func (c Column) Literal(value []byte) string {
	text := string(value)
	switch {
	case value == nil:
		return "NULL"
	case c.isFloat():
		if !strings.ContainsAny(text, "eE") {
			text += "E0"
		}
		return text
	case c.isTemporal():
		return "'" + text + "'"
	case c.isJSON():
		return "CONVERT(X'" + text + "' USING utf8mb4)"
	case c.isCharacter():
		return "_" + c.Charset + " X'" + text + "'"
	case c.isBytes():
		return "X'" + text + "'"
	}
	return text
}

// match is equal for two values exactly when the column's index says so.
func (c Column) match() string {
	name := Name(c.Name)
	switch {
	case c.isCharacter() && c.PadSpace:
		return "HEX(WEIGHT_STRING(RTRIM(" + name + ")))"
	case c.isCharacter():
		return "HEX(WEIGHT_STRING(" + name + "))"
	case c.isFloat():
		return name + "*1E0+0E0"
	}
	return c.Source()
}

// Exact is an expression whose text says exactly what is stored, NULL for
// NULL.
func (c Column) Exact() string {
	name := Name(c.Name)
	switch {
	case c.isJSON():
		return "CONCAT(SHA2(" + name + ", 256), '#', " + strings.Join(c.jsonKinds(), ", '#', ") + ")"
	case c.isBytes():
		return "SHA2(" + name + ", 256)"
	}
	return c.Source()
}

// rowLimit is MySQL's bound for the columns of one row that are not large.
const rowLimit = 65_535

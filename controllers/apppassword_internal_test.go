package controllers

import (
	"strings"
	"testing"
)

func TestWhichPasswordsAnApplicationMayHave(t *testing.T) {
	for name, c := range map[string]struct {
		password string
		says     string
	}{
		"letters":           {password: "secret"},
		"all of ASCII's":    {password: "it's \"\\`~!@#$%^&*()_+-={}[]|;:<>,.?/ 0aZ"},
		"beyond ASCII":      {password: "Zürich 東京 🙂"},
		"the longest":       {password: strings.Repeat("a", 255)},
		"too long":          {password: strings.Repeat("a", 256), says: "256 bytes"},
		"with a line break": {password: "secret\n", says: "U+000A"},
		"with a zero":       {password: "a\x00b", says: "U+0000"},
		"not in UTF-8":      {password: "a\xffb", says: "not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			why := unusableForApp([]byte(c.password))
			if (why == "") != (c.says == "") || !strings.Contains(why, c.says) {
				t.Errorf("got %q, want %q", why, c.says)
			}
		})
	}
}

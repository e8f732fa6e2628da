package mysqlops

import "testing"

// A digest that another implementation of SHA-crypt made.
func TestAHashIsOfOnePassword(t *testing.T) {
	const stored = "$A$005$0123456789abcdefghi\x7fAEL/aFR64nvgEr6ak1LbQRQoZURelcynT2J0EDC52CC"
	for text, want := range map[string]bool{`it's "new"`: true, `it's "new" `: false, "": false} {
		if has, err := isHashOf(stored, NewSecret(text)); has != want || err != nil {
			t.Errorf("%q: %t, %v", text, has, err)
		}
	}
	for _, none := range []string{"", "$A$005$", "*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B"} {
		if has, err := isHashOf(none, NewSecret("")); has || err != nil {
			t.Errorf("%q: %t, %v", none, has, err)
		}
	}
}

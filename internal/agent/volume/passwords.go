package volume

// Passwords says which passwords mysqld's accounts have, by fingerprints.
type Passwords struct {
	// Applied holds a fingerprint for each password file.
	Applied map[string]string `json:"applied"`
}

// ReadPasswords returns what WritePasswords wrote; the zero value when there is nothing.
func (v *Volume) ReadPasswords() (Passwords, error) {
	var p Passwords
	_, err := readJSON(v.file("passwords.json"), &p)
	return p, err
}

// WritePasswords writes it durably.
func (v *Volume) WritePasswords(p Passwords) error { return v.writeJSON(v.file("passwords.json"), p) }

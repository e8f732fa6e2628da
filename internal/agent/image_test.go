package agent

import (
	"strings"
	"testing"
)

func TestWhichMysqldIsSupported(t *testing.T) {
	for out, want := range map[string]string{
		"/usr/sbin/mysqld  Ver 8.4.6 for Linux on x86_64 (MySQL Community Server - GPL)\n": "8.4.6",
		"mysqld  Ver 9.7.4 for Linux on aarch64 (Source distribution)\n":                   "9.7.4",
		"mysqld  Ver 10.0.1 for Linux on x86_64\n":                                         "10.0.1",
		"/usr/sbin/mysqld  Ver 8.0.43 for Linux on x86_64\n":                               "",
		"mysqld  Ver 5.7.44 for Linux on x86_64\n":                                         "",
		"mariadbd  Ver 11.4.2-MariaDB for Linux on x86_64\n":                               "",
		"usage: mysqld [options]\n":                                                        "",
	} {
		version, err := supportedVersion(out)
		if version != want || (err == nil) != (want != "") {
			t.Errorf("%q is version %q, %v; want %q", out, version, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "spec.mysql.image") {
			t.Errorf("%v does not say what to change", err)
		}
	}
}

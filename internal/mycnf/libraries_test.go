package mycnf

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestLibrariesThatAUserCanHaveLoaded(t *testing.T) {
	for name, c := range map[string]struct {
		components, plugins []string
		says                string
	}{
		"fine ones":                  {[]string{"component_validate_password", "component_classic_hashing"}, []string{"auth_socket.so"}, ""},
		"a URN":                      {[]string{"file://component_x"}, nil, "want a name such as"},
		"a path":                     {nil, []string{"../evil.so"}, "want a file of plugin_dir"},
		"no library":                 {nil, []string{"auth_socket"}, "want a file of plugin_dir"},
		"a second line":              {nil, []string{"a.so\nread_only = OFF"}, "want a file of plugin_dir"},
		"a component as plugin":      {nil, []string{"component_validate_password.so"}, "name it in spec.mysql.components"},
		"what the operator loads":    {nil, []string{"semisync_source.so"}, "the operator loads it"},
		"group replication":          {nil, []string{"group_replication.so"}, "without group replication"},
		"a keyring":                  {[]string{"component_keyring_file"}, nil, "each other's files"},
		"an engine":                  {nil, []string{"ha_example.so"}, "other engines"},
		"a component without prefix": {[]string{"masking_functions"}, nil, ""},
	} {
		err := CheckLibraries(c.components, c.plugins)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.says != "" && (!errors.Is(err, ErrLibrary) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestTheOptionFileLoadsThePluginsOfTheUser(t *testing.T) {
	m := Member{PodIP: "127.0.0.1", Host: "shop-0", DataDir: "/data/mysql", Socket: "/run/s", PIDFile: "/run/p", Plugins: []string{"auth_socket.so"}}
	text, err := Render(m)
	if err != nil || !strings.Contains(text, "plugin_load_add = \"mysql_clone.so\"\nplugin_load_add = \"auth_socket.so\"\n") {
		t.Errorf("%v: %s", err, text)
	}
	m.Plugins = []string{"x.so\"\nread_only = OFF"}
	if _, err := Render(m); !errors.Is(err, ErrLibrary) {
		t.Errorf("rendered: %v", err)
	}
}

func TestWhatMysqldSaysOfLibraries(t *testing.T) {
	log := "2026 0 [ERROR] [MY-010901] [Server] Can't open shared library '/p/no.so'\n" +
		"2026 0 [ERROR] [MY-010736] [Server] Couldn't load plugin named 'no.so' with soname 'no.so'.\n" +
		"2026 0 [ERROR] [MY-010736] [Server] Couldn't load plugin named 'other' with soname 'other.so'.\n"
	if got := NotLoaded(log, []string{"no.so", "fine.so"}); !slices.Equal(got, []string{"no.so"}) {
		t.Errorf("not loaded: %v", got)
	}
	help := "  --plugin-dir=name   Directory for plugins\nplugin-dir            /usr/lib64/mysql/plugin/\nport  3306\n"
	if got := PluginDir(help); got != "/usr/lib64/mysql/plugin/" {
		t.Errorf("plugin_dir %q", got)
	}
	if got := PluginDir("mysqld"); got != "" {
		t.Errorf("plugin_dir %q", got)
	}
}

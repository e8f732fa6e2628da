package plugin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/rest"
)

// The API server is asked for the newest lines of the container that is meant.
func TestLogsAreAskedFor(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+"?"+r.URL.Query().Encode())
		_, _ = io.WriteString(w, "a line\n")
	}))
	defer server.Close()
	r := remote{config: &rest.Config{Host: server.URL}}
	for _, l := range []containerLog{
		{namespace: "db", pod: "shop-0", container: "mysqld"},
		{
			namespace: "db",
			pod:       "shop-0",
			container: "mysqld",
			previous:  true,
		},
	} {
		in, err := r.open(t.Context(), l, 7)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil || in.Close() != nil || string(text) != "a line\n" {
			t.Errorf("%q, %v", text, err)
		}
	}
	const path = "/api/v1/namespaces/db/pods/shop-0/log?container=mysqld"
	if len(asked) != 2 || asked[0] != path+"&tailLines=7" || asked[1] != path+"&previous=true&tailLines=7" {
		t.Errorf("asked for %q", asked)
	}
}

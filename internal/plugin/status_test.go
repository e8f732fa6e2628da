package plugin

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// watched is what status --watch prints within so long, with what is done after its first look.
func watched(t *testing.T, w *world, args []string, within time.Duration, meanwhile func()) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &session{
			streams: genericiooptions.IOStreams{Out: &out, ErrOut: &out},
			connect: func() (cluster, error) {
				return cluster{
					client:    w.client,
					execer:    w.execer,
					namespace: "default",
				}, nil
			},
		}
		root := s.command("test")
		root.SetArgs(append([]string{"status", "shop", "--watch"}, args...))
		ended := make(chan error, 1)
		go func() { ended <- root.ExecuteContext(ctx) }()
		synctest.Wait()
		meanwhile()
		time.Sleep(within)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return out.String()
}

// Each look of --watch is whole and shows what is so then.
func TestStatusIsWatched(t *testing.T) {
	w := newWorld(t, healthy())
	looks := strings.Split(watched(t, w, nil, 2*watchEvery+watchEvery/2, func() {
		p := &v1alpha1.DatabasePair{}
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(healthy()), p); err != nil {
			t.Fatal(err)
		}
		p.Status.Primary = "shop-1"
		if err := w.client.Update(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}), "---\n")
	if len(looks) != 4 || looks[3] != "" {
		t.Fatalf("%d looks in five seconds:\n%s", len(looks)-1, strings.Join(looks, "---\n"))
	}
	for i, want := range []string{"accepted by shop-0", "accepted by shop-1", "accepted by shop-1"} {
		if !strings.Contains(looks[i], want) || !strings.Contains(looks[i], "CONDITION") {
			t.Errorf("look %d has no %q:\n%s", i, want, looks[i])
		}
	}
}

func TestStatusRefusesFormats(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"an unknown format":   {[]string{"status", "shop", "-o", "xml"}, "-o xml is unknown: use json, yaml or wide"},
		"a watch in a format": {[]string{"status", "shop", "-w", "-o", "json"}, "kubectl get dbp shop -w -o json"},
	} {
		if out, _, err := newWorld(t, healthy()).call(t, "", c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, printed %q", name, err, out)
		}
	}
}

package plugin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// comparedWith is a passive whose agent found that it alone has these transactions.
func comparedWith(errant string) agentapi.State {
	return agentapi.State{
		Phase:    agentapi.PhaseClosed,
		Mysqld:   agentapi.Mysqld{Running: true, Incarnation: "run"},
		Compared: &agentapi.Comparison{Incarnation: "run", Errant: errant},
	}
}

func TestReseed(t *testing.T) {
	spec := func(giveUp bool) *v1alpha1.OperationSpec {
		return &v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: "shop"},
			Type:    v1alpha1.OperationReseed,
			Target:  "shop-1",
			Confirm: "shop/12",
			GiveUp:  giveUp,
		}
	}
	for name, tt := range map[string]struct {
		state   *agentapi.State
		typed   string
		args    []string
		want    *v1alpha1.OperationSpec
		asks    string
		wantErr string
	}{
		"a passive that has nothing of its own needs no confirmation": {
			state: new(comparedWith("")), args: []string{"shop", "shop-1"}, want: spec(false),
		},
		"what the passive alone has is shown, and asked about": {
			state: new(comparedWith(uuid1 + ":1-3")),
			typed: "shop/12\n",
			args:  []string{"shop", "shop-1"},
			want:  spec(true),
			asks:  "3 transactions, " + uuid1 + ":1-3",
		},
		"and not given up without that": {
			state:   new(comparedWith(uuid1 + ":1-3")),
			typed:   "yes\n",
			args:    []string{"shop", "shop-1"},
			wantErr: "not confirmed",
		},
		"nor by the confirmation of another epoch": {
			state: new(comparedWith(uuid1 + ":1-3")), args: []string{"shop", "shop-1", "--confirm", "shop/11"}, wantErr: "the pair is at shop/12 now",
		},
		"scripts give the confirmation": {
			state: new(comparedWith(uuid1 + ":1-3")), args: []string{"shop", "shop-1", "--confirm", "shop/12"}, want: spec(true),
		},
		"a passive whose mysqld does not run may have anything": {
			state: &agentapi.State{Phase: agentapi.PhaseFailed},
			typed: "shop/12\n",
			args:  []string{"shop", "shop-1"},
			want:  spec(true),
			asks:  "not known while it is Failed",
		},
		"a comparison of a former run says nothing": {
			state: &agentapi.State{Phase: agentapi.PhaseClosed, Mysqld: agentapi.Mysqld{Incarnation: "next"}, Compared: &agentapi.Comparison{Incarnation: "run"}},
			typed: "shop/12\n",
			args:  []string{"shop", "shop-1"},
			want:  spec(true),
			asks:  "not known",
		},
		"the primary is refused": {
			state: new(comparedWith("")), args: []string{"shop", "shop-0"}, wantErr: `"shop-0" is not the passive of pair "shop", shop-1 is`,
		},
		"a passive that does not answer cannot copy": {
			args: []string{"shop", "shop-1"}, wantErr: "the agent of shop-1 does not answer",
		},
		"the member has to be named": {
			args: []string{"shop"}, wantErr: "name the pair and its passive",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, healthy())
			if tt.state != nil {
				w.execer.states["shop-1"] = *tt.state
			}
			_, asked, err := w.call(t, tt.typed, append([]string{"reseed"}, tt.args...)...)
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Fatalf("error %v, want %q", err, tt.wantErr)
			}
			if !strings.Contains(asked, tt.asks) || (tt.asks == "") == strings.Contains(asked, "gives up") && tt.wantErr == "" {
				t.Errorf("it asks: %s", asked)
			}
			var ops v1alpha1.DatabasePairOperationList
			if err := w.client.List(t.Context(), &ops); err != nil {
				t.Fatal(err)
			}
			var got *v1alpha1.OperationSpec
			if len(ops.Items) > 0 {
				got = &ops.Items[0].Spec
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("operation (-want +got):\n%s", diff)
			}
		})
	}
}

// A backup is copied only where the pair says where its backups are, and how an encrypted one is read.
func TestReseedFromABackup(t *testing.T) {
	encrypted := &v1alpha1.BackupSpec{Encryption: &v1alpha1.BackupEncryption{Recipients: []string{"age1x"}}}
	readable := &v1alpha1.BackupSpec{Encryption: &v1alpha1.BackupEncryption{
		Recipients:        []string{"age1x"},
		IdentitySecretRef: &v1alpha1.KeyReference{Name: "age", Key: "identity"},
	}}
	for name, tt := range map[string]struct {
		backup  *v1alpha1.BackupSpec
		from    string
		want    v1alpha1.ReseedSource
		wantErr string
	}{
		"a backup":                     {&v1alpha1.BackupSpec{}, "backup", v1alpha1.ReseedFromBackup, ""},
		"an encrypted one":             {readable, "backup", v1alpha1.ReseedFromBackup, ""},
		"one that cannot be decrypted": {encrypted, "backup", "", "spec.backup.encryption.identitySecretRef"},
		"no backups":                   {nil, "backup", "", "has no spec.backup"},
		"the primary":                  {nil, "primary", "", ""},
		"something else":               {&v1alpha1.BackupSpec{}, "tape", "", "--from must be primary or backup"},
	} {
		t.Run(name, func(t *testing.T) {
			p := healthy()
			p.Spec.Backup = tt.backup
			w := newWorld(t, p)
			w.execer.states["shop-1"] = comparedWith("")
			_, _, err := w.call(t, "", "reseed", "shop", "shop-1", "--from", tt.from)
			if (err == nil) != (tt.wantErr == "") || (err != nil && !strings.Contains(err.Error(), tt.wantErr)) {
				t.Fatalf("error %v, want %q", err, tt.wantErr)
			}
			var ops v1alpha1.DatabasePairOperationList
			if err := w.client.List(t.Context(), &ops); err != nil {
				t.Fatal(err)
			}
			if made := len(ops.Items) == 1; made != (tt.wantErr == "") || (made && ops.Items[0].Spec.From != tt.want) {
				t.Errorf("operations %+v", ops.Items)
			}
		})
	}
}

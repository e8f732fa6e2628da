package controllers_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

const donor = "host: old.example.com, user: donor, passwordSecretRef: {name: old, key: password}"

func TestEachWrongFieldOfADonorGetsItsMessage(t *testing.T) {
	s := newScene(t)
	for name, tc := range map[string]struct{ spec, says string }{
		"nothing":               {"{}", "spec.bootstrap needs exactly one of donor, backup and dump"},
		"both":                  {"{donor: {" + donor + "}, dump: {claimName: a, path: b.sql}}", "exactly one of donor, backup and dump"},
		"a dump of no claim":    {"{dump: {path: b.sql}}", "spec.bootstrap.dump.claimName"},
		"a dump without a path": {"{dump: {claimName: a}}", "spec.bootstrap.dump.path"},
		"an absolute path":      {"{dump: {claimName: a, path: /b.sql}}", "spec.bootstrap.dump.path must be the path of a file within the volume"},
		"a path that leaves":    {"{dump: {claimName: a, path: b/../../c.sql}}", "spec.bootstrap.dump.path must be"},
		"a folder":              {"{dump: {claimName: a, path: b/}}", "spec.bootstrap.dump.path must be"},
		"no user":               {"{donor: {host: a, passwordSecretRef: {name: a, key: b}}}", "spec.bootstrap.donor.user"},
		"no password":           {"{donor: {host: a, user: b}}", "spec.bootstrap.donor.passwordSecretRef"},
		"a host with a port":    {"{donor: {" + strings.Replace(donor, "old.example.com", "\"a:3306\"", 1) + "}}", "spec.bootstrap.donor.host must be a host name"},
		"a port that is none":   {"{donor: {" + donor + ", port: 70000}}", "spec.bootstrap.donor.port"},
		"an unknown way of TLS": {"{donor: {" + donor + ", tls: Maybe}}", "spec.bootstrap.donor.tls"},
		"an authority without TLS": {
			"{donor: {" + donor + ", tls: Disabled, caSecretRef: {name: a, key: b}}}", "spec.bootstrap.donor.caSecretRef needs tls Required",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.pair("a", plain+"\nbootstrap: "+tc.spec)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

const someGTID = "3e11fa47-71ca-11e1-9e33-c80aa9429562:77"

func TestAPairMayBeginAtAnyMoment(t *testing.T) {
	s := newScene(t)
	for name, target := range map[string]string{
		"utc":       "{time: \"2026-01-02T03:04:05Z\"}",
		"latest":    "{time: Latest}",
		"offset":    "{time: \"2026-01-02T03:04:05.123456+02:00\"}",
		"gtid":      "{gtid: \"" + someGTID + "\"}",
		"sets":      "{gtid: \"" + someGTID + "-99:101,\\n4e11fa47-71ca-11e1-9e33-c80aa9429562:tagged:1-5\"}",
		"before":    "{beforeGTID: \"" + someGTID + "\"}",
		"beforetag": "{beforeGTID: \"3e11fa47-71ca-11e1-9e33-c80aa9429562:tagged:77\"}",
	} {
		_, err := s.pair(name, plain+"\nbootstrap: {backup: {destination: {volume: {claimName: backups}}, pair: {name: shop}, target: "+target+"}}")
		if err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestEachWrongFieldOfARestoreGetsItsMessage(t *testing.T) {
	s := newScene(t)
	const from = "destination: {volume: {claimName: backups}}, pair: {name: shop}"
	for name, tc := range map[string]struct{ spec, says string }{
		"a donor as well":    {"{donor: {" + donor + "}, backup: {" + from + "}}", "exactly one of donor, backup and dump"},
		"no destination":     {"{backup: {pair: {name: shop}}}", "spec.bootstrap.backup.destination"},
		"two destinations":   {"{backup: {destination: {}, pair: {name: shop}}}", "destination needs exactly one of s3, gcs, azure and volume"},
		"no pair":            {"{backup: {destination: {volume: {claimName: backups}}}}", "spec.bootstrap.backup.pair"},
		"a pair upwards":     {"{backup: {destination: {volume: {claimName: a}}, pair: {name: ../shop}}}", "name must be the name of a DatabasePair"},
		"a namespace":        {"{backup: {destination: {volume: {claimName: a}}, pair: {name: shop, namespace: a/b}}}", "namespace must be the name of a namespace"},
		"a UID upwards":      {"{backup: {destination: {volume: {claimName: a}}, pair: {name: shop, uid: ..}}}", "uid must be the UID"},
		"an ID that is none": {"{backup: {" + from + ", backupID: newest}}", "backupID must be Latest, or an ID"},
		"half an identity":   {"{backup: {" + from + ", identitySecretRef: {name: a}}}", "spec.bootstrap.backup.identitySecretRef.key"},
		"an empty target":    {"{backup: {" + from + ", target: {}}}", "target needs exactly one of time, gtid and beforeGTID"},
		"two targets": {
			"{backup: {" + from + ", target: {time: \"2026-01-02T03:04:05Z\", gtid: \"" + someGTID + "\"}}}", "target needs exactly one",
		},
		"a time without an offset": {"{backup: {" + from + ", target: {time: \"2026-01-02T03:04:05\"}}}", "target.time must have an offset"},
		"a time that is none":      {"{backup: {" + from + ", target: {time: yesterday}}}", "target.time must have an offset"},
		"a time in two parts":      {"{backup: {" + from + ", target: {time: \"2026-01-02 03:04:05Z\"}}}", "target.time must have an offset"},
		"an empty time":            {"{backup: {" + from + ", target: {time: \"\"}}}", "target.time must have an offset"},
		"an empty set":             {"{backup: {" + from + ", target: {gtid: \"\"}}}", "target.gtid must be a set of GTIDs"},
		"transaction 0":            {"{backup: {" + from + ", target: {beforeGTID: \"3e11fa47-71ca-11e1-9e33-c80aa9429562:0\"}}}", "target.beforeGTID must be one GTID"},
		"a number as GTID":         {"{backup: {" + from + ", target: {gtid: \"77\"}}}", "target.gtid must be a set of GTIDs"},
		"half a GTID":              {"{backup: {" + from + ", target: {gtid: \"" + someGTID + "-\"}}}", "target.gtid must be a set of GTIDs"},
		"before a set":             {"{backup: {" + from + ", target: {beforeGTID: \"" + someGTID + "-99\"}}}", "target.beforeGTID must be one GTID"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.pair("a", plain+"\nbootstrap: "+tc.spec)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
	p, err := s.pair("shop2", plain+"\nbootstrap: {backup: {"+from+"}}")
	s.must(err)
	if p.Spec.Bootstrap.Backup.BackupID != v1alpha1.LatestBackup {
		t.Errorf("defaults %+v", p.Spec.Bootstrap.Backup)
	}
	err = s.Patch(s.ctx, p, client.RawPatch(types.MergePatchType, []byte(`{"spec": {"bootstrap": {"backup": {"pair": {"name": "other"}}}}}`)))
	if err == nil || !strings.Contains(err.Error(), "spec.bootstrap cannot be changed") {
		t.Errorf("changed: %v", err)
	}
}

func TestWhatAPairBeginsWithIsSaidOnce(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain+"\nbootstrap: {donor: {"+donor+"}}")
	s.must(err)
	if d := p.Spec.Bootstrap.Donor; d.Port != 3306 || d.TLS != v1alpha1.DonorTLSRequired {
		t.Errorf("defaults %+v", d)
	}
	loaded, err := s.pair("loaded", plain+"\nbootstrap: {dump: {claimName: dumps, path: a/..b/app.sql.gz, strip: true}}")
	s.must(err)
	empty, err := s.pair("empty", plain)
	s.must(err)
	for says, change := range map[string]struct {
		pair  *v1alpha1.DatabasePair
		patch string
	}{
		"spec.bootstrap cannot be changed":  {p, `{"spec": {"bootstrap": {"donor": {"host": "other"}}}}`},
		"cannot be changed: it counts once": {loaded, `{"spec": {"bootstrap": {"dump": {"path": "other.sql"}}}}`},
		"nor removed":                       {p, `{"spec": {"bootstrap": null}}`},
		"can neither be added": {
			empty, `{"spec": {"bootstrap": {"donor": {"host": "a", "user": "b", "passwordSecretRef": {"name": "c", "key": "d"}}}}}`,
		},
	} {
		err := s.Patch(s.ctx, change.pair, client.RawPatch(types.MergePatchType, []byte(change.patch)))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

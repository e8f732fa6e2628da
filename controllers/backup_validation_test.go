package controllers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func TestEachWrongFieldOfABackupGetsItsMessage(t *testing.T) {
	s := newScene(t)
	const volume = "destination: {volume: {claimName: backups}}"
	for name, tc := range map[string]struct{ spec, says string }{
		"no destination":           {"schedule: \"@daily\"", "spec.backup.destination"},
		"an empty destination":     {"destination: {}", "destination needs exactly one of s3, gcs, azure and volume"},
		"two destinations":         {"destination: {volume: {claimName: a}, s3: {bucket: abc, region: a}}", "needs exactly one of s3, gcs, azure and volume"},
		"no region":                {"destination: {s3: {bucket: abc}}", "s3 needs region"},
		"a bucket with a slash":    {"destination: {s3: {bucket: a/bc, region: a}}", "bucket must be the name of a bucket"},
		"a prefix upwards":         {"destination: {s3: {bucket: abc, region: a, prefix: a/../b}}", "prefix may have letters"},
		"a prefix with a slash":    {"destination: {s3: {bucket: abc, region: a, prefix: a/}}", "prefix may have letters"},
		"an endpoint with a key":   {"destination: {s3: {bucket: abc, endpoint: \"https://a:b@host\"}}", "endpoint must be https://HOST"},
		"a style of requests":      {"destination: {s3: {bucket: abc, region: a, pathStyle: Sometimes}}", "spec.backup.destination.s3.pathStyle"},
		"a bucket of Google":       {"destination: {gcs: {bucket: A}}", "bucket must be the name of a bucket"},
		"a key without a name":     {"destination: {gcs: {bucket: abc, credentials: {name: keys}}}", "spec.backup.destination.gcs.credentials.key"},
		"no container":             {"destination: {azure: {account: abc}}", "spec.backup.destination.azure.container"},
		"an account's address":     {"destination: {azure: {account: abc.blob, container: abc}}", "account must be the name of a storage account"},
		"two dashes":               {"destination: {azure: {account: abc, container: a--b}}", "container must be the name of a container"},
		"an Azure prefix":          {"destination: {azure: {account: abc, container: abc, prefix: /a}}", "prefix may have letters"},
		"a Secret and an account":  {"destination: {gcs: {bucket: abc, credentials: {name: a, key: k}}, serviceAccountName: a}", "not from both"},
		"an account of a volume":   {"destination: {volume: {claimName: a}, serviceAccountName: a}", "a volume needs none"},
		"an account's number":      {"destination: {gcs: {bucket: abc}, serviceAccountName: A_1}", "serviceAccountName must be the name"},
		"no claim":                 {"destination: {volume: {claimName: \"\"}}", "spec.backup.destination.volume.claimName"},
		"four fields":              {volume + ", schedule: \"0 1 * *\"", "spec.backup.schedule must have five fields"},
		"the operator's zone":      {volume + ", timeZone: Local", "spec.backup.timeZone must be a name"},
		"a deadline of a second":   {volume + ", startingDeadline: 1s", "spec.backup.startingDeadline must be from 1m to 168h"},
		"a window of a minute":     {volume + ", retention: {keepFor: 1m}", "spec.backup.retention.keepFor must be from 1h to 87600h"},
		"no backup to keep":        {volume + ", retention: {keepLast: 0}", "spec.backup.retention.keepLast"},
		"an identity":              {volume + ", encryption: {recipients: [AGE-SECRET-KEY-1]}", "spec.backup.encryption.recipients must be public keys"},
		"no recipient":             {volume + ", encryption: {recipients: []}", "spec.backup.encryption.recipients"},
		"a flush of a millisecond": {volume + ", binlog: {flushInterval: 1ms}", "spec.backup.binlog.flushInterval must be from 1s to 5m"},
		"a drill of four fields":   {volume + ", drill: {schedule: \"0 1 * *\"}", "spec.backup.drill.schedule must have five fields"},
		"the operator's drills":    {volume + ", drill: {timeZone: Local}", "spec.backup.drill.timeZone must be a name"},
		"a drill in a second":      {volume + ", drill: {startingDeadline: 1s}", "spec.backup.drill.startingDeadline must be from 1m to 168h"},
		"a drill to somewhere":     {volume + ", drill: {target: Random}", "spec.backup.drill.target"},
		"an identity's name":       {volume + ", encryption: {recipients: [], identitySecretRef: {name: key}}", "spec.backup.encryption.identitySecretRef.key"},
		"a backlog of everything":  {volume + ", binlog: {maxBacklog: 100%}", "spec.backup.binlog.maxBacklog must be a share from 1% to 90%"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.pair("a", plain+"\nbackup: {"+tc.spec+"}")
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
	p, err := s.pair("shop", plain+"\nbackup: {"+volume+"}")
	s.must(err)
	if p.Spec.Backup.Drill != nil {
		t.Errorf("drills that nobody asked for: %+v", p.Spec.Backup.Drill)
	}
	q, err := s.pair("drilled", plain+"\nbackup: {"+volume+", drill: {schedule: \"@weekly\", storageClassName: \"\"}}")
	s.must(err)
	if d := q.Spec.Backup.Drill; d == nil || d.TimeZone != "Etc/UTC" || d.StartingDeadline.Duration != 6*time.Hour ||
		d.Target != v1alpha1.RestoreDrillLatest || d.StorageClassName == nil || *d.StorageClassName != "" {
		t.Errorf("defaults of drills %+v", d)
	}
	b := p.Spec.Backup
	if b.Retention.KeepFor.Duration != 7*24*time.Hour || b.Retention.KeepLast != 2 || b.TimeZone != "Etc/UTC" ||
		b.StartingDeadline.Duration != time.Hour || b.Verify == nil || !*b.Verify {
		t.Errorf("defaults %+v", b)
	}
}

package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/store"
)

func TestAnErrorOfAStoreNamesTheFieldAndTheWay(t *testing.T) {
	const (
		s3     = "s3://b/ns.shop/u?region=r"
		gcs    = "gs://b/ns.shop/u"
		azure  = "azblob://c/ns.shop/u?storage_account=a"
		volume = "file:///backups/ns.shop/u"
	)
	for _, tc := range []struct {
		class    store.Class
		location string
		says     string
	}{
		{store.Denied, s3, "the Secret of spec.backup.destination.s3.credentials"},
		{store.Denied, gcs, "the Secret of spec.backup.destination.gcs.credentials"},
		{store.Denied, azure, "the Secret of spec.backup.destination.azure.credentials"},
		{store.Denied, volume, "the group 65532 read and write spec.backup.destination.volume"},
		{store.NoBucket, azure, "correct spec.backup.destination.azure"},
		{store.Skewed, s3, "the clock of the node"},
		{store.Untrusted, s3, "spec.backup.destination.s3.caBundle"},
		{store.Full, volume, "spec.backup.retention keep less"},
		{store.Unreachable, s3, "check spec.backup.destination.s3.endpoint"},
		{store.Unreachable, gcs, "check spec.backup.destination.gcs,"},
		{store.Unknown, s3, "put \"key\": Unknown: refused"},
	} {
		err := &store.Error{
			Op:    "put",
			Key:   "key",
			Class: tc.class,
			Err:   errors.New("refused"),
		}
		if got := advice(err, "spec.backup", tc.location); !strings.Contains(got, tc.says) || !strings.HasPrefix(got, err.Error()) {
			t.Errorf("%s at %s: %q, want %q", tc.class, tc.location, got, tc.says)
		}
	}
}

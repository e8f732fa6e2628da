package resources

import (
	"testing"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func TestTheStoreOfAPairIsAFolderOfItsOwn(t *testing.T) {
	for want, d := range map[string]v1alpha1.BackupDestination{
		"file:///backups/shops.shop/u-1": {Volume: &v1alpha1.VolumeDestination{ClaimName: "c"}},
		"s3://b/shops.shop/u-1?region=eu-central-1": {
			S3: &v1alpha1.S3Destination{Bucket: "b", Region: "eu-central-1", PathStyle: v1alpha1.PathStyleAuto},
		},
		"s3://b/p/q/shops.shop/u-1?endpoint=https%3A%2F%2Fs3.test%3A9000&region=us-east-1&use_path_style=true": {
			S3: &v1alpha1.S3Destination{Bucket: "b", Prefix: "p/q", Endpoint: "https://s3.test:9000/", PathStyle: v1alpha1.PathStyleAuto},
		},
		"s3://b/shops.shop/u-1?endpoint=https%3A%2F%2Fs3.test&region=r": {
			S3: &v1alpha1.S3Destination{Bucket: "b", Endpoint: "https://s3.test", Region: "r", PathStyle: v1alpha1.PathStyleNever},
		},
		"s3://b/shops.shop/u-1?region=r&use_path_style=true": {
			S3: &v1alpha1.S3Destination{Bucket: "b", Region: "r", PathStyle: v1alpha1.PathStyleAlways},
		},
	} {
		p := &v1alpha1.DatabasePair{Spec: v1alpha1.DatabasePairSpec{Backup: &v1alpha1.BackupSpec{Destination: d}}}
		p.Name = "shop"
		p.Namespace = "shops"
		p.UID = "u-1"
		if got := BackupStore(p); got != want {
			t.Errorf("store %s, want %s", got, want)
		}
	}
}

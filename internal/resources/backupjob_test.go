package resources

import (
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

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
		"gs://b/shops.shop/u-1":     {GCS: &v1alpha1.GCSDestination{Bucket: "b"}},
		"gs://b/p/q/shops.shop/u-1": {GCS: &v1alpha1.GCSDestination{Bucket: "b", Prefix: "p/q"}},
		"azblob://c/p/shops.shop/u-1?storage_account=a": {
			Azure: &v1alpha1.AzureDestination{Account: "a", Container: "c", Prefix: "p"},
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

func TestTheJobOfABackupHasTheCredentialsOfItsStore(t *testing.T) {
	for name, tc := range map[string]struct {
		destination v1alpha1.BackupDestination
		// env are variables with their value, or the Secret that has it.
		env    map[string]string
		secret string
	}{
		"a key of Google": {
			v1alpha1.BackupDestination{GCS: &v1alpha1.GCSDestination{
				Bucket:      "b",
				Credentials: &v1alpha1.KeyReference{Name: "keys", Key: "key.json"},
			}},
			map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/etc/dbpair/store-account/account.json"},
			"keys",
		},
		"an identity of Google": {v1alpha1.BackupDestination{GCS: &v1alpha1.GCSDestination{Bucket: "b"}}, nil, ""},
		"a key of Azure": {
			v1alpha1.BackupDestination{Azure: &v1alpha1.AzureDestination{
				Account:     "a",
				Container:   "c",
				Credentials: &v1alpha1.SecretReference{Name: "keys"},
			}},
			map[string]string{"AZURE_STORAGE_ACCOUNT": "a", "AZURE_STORAGE_KEY": "Secret keys"},
			"",
		},
		"an identity of Azure": {
			v1alpha1.BackupDestination{Azure: &v1alpha1.AzureDestination{Account: "a", Container: "c"}},
			map[string]string{"AZURE_STORAGE_ACCOUNT": "a"},
			"",
		},
		"keys of S3": {
			v1alpha1.BackupDestination{S3: &v1alpha1.S3Destination{Bucket: "b", Credentials: &v1alpha1.SecretReference{Name: "keys"}}},
			map[string]string{"AWS_ACCESS_KEY_ID": "Secret keys", "AWS_SECRET_ACCESS_KEY": "Secret keys", "AWS_SESSION_TOKEN": "Secret keys"},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var pod corev1.PodSpec
			var container corev1.Container
			mountDestination(&pod, &container, tc.destination, writable)
			env := map[string]string{}
			for _, e := range container.Env {
				env[e.Name] = e.Value
				if e.ValueFrom != nil {
					env[e.Name] = "Secret " + e.ValueFrom.SecretKeyRef.Name
				}
			}
			if !maps.Equal(env, tc.env) {
				t.Errorf("environment %v, want %v", env, tc.env)
			}
			secret := ""
			for _, volume := range pod.Volumes {
				secret += volume.Secret.SecretName + strings.Repeat(" without a mount", 1-len(container.VolumeMounts))
			}
			if secret != tc.secret {
				t.Errorf("the file is of Secret %q, want %q", secret, tc.secret)
			}
		})
	}
}

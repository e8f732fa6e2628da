package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
)

// namedObjects are those of a namespace that a spec names and a user makes. No cache has them.
type namedObjects struct {
	live      client.Reader
	namespace string
}

// missingOf says what of the objects that a destination names is not there, and by which field
// below at; empty when nothing is missing.
func (n namedObjects) missingOf(ctx context.Context, destination v1alpha1.BackupDestination, at string) (string, error) {
	if name := destination.ServiceAccountName; name != "" {
		why, err := n.missing(ctx, &corev1.ServiceAccount{}, name, at+".serviceAccountName", "ServiceAccount")
		if why != "" || err != nil {
			return why, err
		}
	}
	switch {
	case destination.Volume != nil:
		return n.claimMissing(ctx, destination.Volume.ClaimName, at+".volume.claimName")
	case destination.S3 != nil:
		return n.missingOfS3(ctx, destination.S3, at+".s3")
	case destination.GCS != nil && destination.GCS.Credentials != nil:
		credentials := destination.GCS.Credentials
		return n.secretMissing(ctx, credentials.Name, at+".gcs.credentials", credentials.Key)
	case destination.Azure != nil && destination.Azure.Credentials != nil:
		return n.secretMissing(ctx, destination.Azure.Credentials.Name, at+".azure.credentials", resources.AzureKey)
	}
	return "", nil
}

func (n namedObjects) missingOfS3(ctx context.Context, s3 *v1alpha1.S3Destination, at string) (string, error) {
	if s3.Credentials != nil {
		why, err := n.secretMissing(ctx, s3.Credentials.Name, at+".credentials", resources.CredentialKeys()...)
		if why != "" || err != nil {
			return why, err
		}
	}
	if bundle := s3.CABundle; bundle != nil {
		var m corev1.ConfigMap
		why, err := n.missing(ctx, &m, bundle.Name, at+".caBundle", "ConfigMap")
		if why != "" || err != nil {
			return why, err
		}
		if m.Data[bundle.Key] == "" {
			return fmt.Sprintf("%s.caBundle: ConfigMap %s has no key %s: add it", at, bundle.Name, bundle.Key), nil
		}
	}
	return "", nil
}

// value reads a key of a Secret. Why says what is missing.
func (n namedObjects) value(ctx context.Context, ref v1alpha1.KeyReference, field string) (value []byte, why string, err error) {
	var secret corev1.Secret
	if why, err = n.missing(ctx, &secret, ref.Name, field, "Secret"); why != "" || err != nil {
		return nil, why, err
	}
	if len(secret.Data[ref.Key]) == 0 {
		return nil, lacksKey(field, ref.Name, ref.Key), nil
	}
	return secret.Data[ref.Key], "", nil
}

func lacksKey(field, name, key string) string {
	return fmt.Sprintf("%s: Secret %s has no key %s: add it", field, name, key)
}

// secretMissing says that there is no Secret with these keys; empty when there is.
func (n namedObjects) secretMissing(ctx context.Context, name, field string, keys ...string) (string, error) {
	var secret corev1.Secret
	why, err := n.missing(ctx, &secret, name, field, "Secret")
	if why != "" || err != nil {
		return why, err
	}
	for _, key := range keys {
		if len(secret.Data[key]) == 0 {
			return lacksKey(field, name, key), nil
		}
	}
	return "", nil
}

// claimMissing says why a claim cannot hold backups or a dump; empty when it can.
func (n namedObjects) claimMissing(ctx context.Context, name, field string) (string, error) {
	var claim corev1.PersistentVolumeClaim
	why, err := n.missing(ctx, &claim, name, field, "PersistentVolumeClaim")
	if why == "" && err == nil && claim.Labels[resources.LabelPair] != "" {
		why = fmt.Sprintf("%s: PersistentVolumeClaim %s is the volume of a member: name another one", field, name)
	}
	return why, err
}

// missing reads an object, and says that it is not there.
func (n namedObjects) missing(ctx context.Context, into client.Object, name, field, kind string) (string, error) {
	err := n.live.Get(ctx, types.NamespacedName{Namespace: n.namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("%s: there is no %s %s in this namespace: make it", field, kind, name), nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s %s: %w", kind, name, err)
	}
	return "", nil
}

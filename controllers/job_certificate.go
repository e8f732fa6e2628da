package controllers

import (
	"bytes"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// certifyEvery is the time between two visits to the certificate of a Job that runs.
const certifyEvery = 20 * time.Second

// certify gives the Job of an operation a client certificate of its own, and renews it. The
// certificate names the operation, and agents take it for nothing else. It is idempotent.
func (r *JobReconciler) certify(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation) error {
	if !needsRoles(op) {
		return nil // it logs in to no member
	}
	ca, bundle, err := signerOf(ctx, r.Applier, v.pair)
	if err != nil {
		return err
	}
	key := types.NamespacedName{Namespace: v.name.Namespace, Name: v.names.JobName(op.UID)}
	var live corev1.Secret
	// The cache keeps no content of Secrets that are not of the pair itself.
	err = r.Live.Get(ctx, key, &live)
	found := err == nil
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read Secret %s: %w", key, err)
	}
	if found && !metav1.IsControlledBy(&live, op) {
		return fmt.Errorf("operation %s: Secret %s is not the operation's: delete it", op.Name, key)
	}
	leaf := pki.Leaf{CertPEM: live.Data[corev1.TLSCertKey], KeyPEM: live.Data[corev1.TLSPrivateKeyKey]}
	due := certificateDue(ca, v.pair, leaf, pki.Job(op.Name), r.Now())
	if due == "" && bytes.Equal(live.Data[resources.KeyCA], bundle) {
		r.sawCertified(op)
		return nil
	}
	if due != "" {
		if leaf, err = ca.Issue(pki.Job(op.Name), r.Now()); err != nil {
			return err
		}
	}
	wish := resources.JobTLSSecret(v.pair, op, bundle, leaf.CertPEM, leaf.KeyPEM)
	if !found {
		err = r.Client.Create(ctx, wish, client.FieldOwner(cluster.FieldManager))
	} else {
		base := live.DeepCopy()
		live.Data = wish.Data
		patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
		err = r.Client.Patch(ctx, &live, patch, client.FieldOwner(cluster.FieldManager))
	}
	if err != nil {
		return fmt.Errorf("operation %s: write Secret %s: %w", op.Name, key, err)
	}
	r.sawCertified(op)
	return nil
}

func (r *JobReconciler) sawCertified(op *v1alpha1.DatabasePairOperation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.certified == nil {
		r.certified = map[types.UID]time.Time{}
	}
	r.certified[op.UID] = r.Now()
}

// keepCertified renews the certificate of a Job that runs. That it cannot be renewed now ends
// nothing: a third of its life is left.
func (r *JobReconciler) keepCertified(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation) {
	r.mu.Lock()
	last := r.certified[op.UID]
	r.mu.Unlock()
	if r.Now().Sub(last) < certifyEvery {
		return
	}
	if err := r.certify(ctx, v, op); err != nil {
		log(ctx, op).Info("the certificate of a Job was not renewed", "reason", err.Error())
	}
}

// signerOf is the pair's certificate authority, and what is to be trusted beside it.
func signerOf(ctx context.Context, applier *cluster.Applier, p *v1alpha1.DatabasePair) (ca *pki.Authority, bundle []byte, err error) {
	var secret corev1.Secret
	name := types.NamespacedName{Namespace: p.Namespace, Name: resources.NamesOf(p).CA()}
	found, err := applier.Find(ctx, p, name, &secret)
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, fmt.Errorf("read Secret %s: %w", name, errNoCredential)
	}
	bundle = secret.Data[resources.KeyCA]
	if ca, err = pki.ParseAuthority(bundle, secret.Data[resources.KeyCAKey]); err != nil {
		return nil, nil, fmt.Errorf("the certificate authority of pair %s: %w", client.ObjectKeyFromObject(p), err)
	}
	return ca, bundle, nil
}

// removeCertificate removes the Secret of an operation's Job, if there is one.
func (r *JobReconciler) removeCertificate(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation) error {
	if op.Status.StartTime == nil || r.Off.jobs() {
		return nil // it has none, or the operator has no right to remove it: the record's owner reference does
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v.name.Namespace, Name: v.names.JobName(op.UID)}}
	if err := r.Client.Delete(ctx, secret); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("operation %s: delete Secret %s: %w", op.Name, secret.Name, err)
	}
	return nil
}

package controllers

import (
	"bytes"
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

// dump is the dump that the first member is to load, with the Job that brings it; idempotent. The Job
// ends when the member has its data.
func (r *PairReconciler) dump(ctx context.Context, v *visit, source *v1alpha1.DumpSource) (*agentapi.Dump, error) {
	const field = "spec.bootstrap.dump"
	if r.Off.jobs() {
		return nil, v.session.awaits(status.ReasonJobsOff,
			field+": Jobs are turned off in this installation: set features.checksum=true in the values of its chart")
	}
	named := namedObjects{live: r.Live, namespace: v.name.Namespace}
	why, err := named.claimMissing(ctx, source.ClaimName, field+".claimName")
	if why != "" {
		err = v.session.awaits(status.ReasonClaimMissing, why)
	}
	if err != nil {
		return nil, err
	}
	job, err := r.dumpJob(ctx, v)
	if err != nil {
		return nil, err
	}
	if err := r.dumpCertificate(ctx, v, job); err != nil {
		return nil, err
	}
	return &agentapi.Dump{
		Name:                 source.String(),
		Job:                  job.Name,
		Strip:                source.Strip,
		AllowMissingDefiners: source.AllowMissingDefiners,
	}, nil
}

// dumpJob makes the Job, again when it has ended without the pair having data.
func (r *PairReconciler) dumpJob(ctx context.Context, v *visit) (*batchv1.Job, error) {
	key := types.NamespacedName{Namespace: v.name.Namespace, Name: v.names.Dump()}
	job := &batchv1.Job{}
	err := r.Live.Get(ctx, key, job)
	switch {
	case apierrors.IsNotFound(err):
		job = resources.DumpJob(v.pair, r.Agent)
		if err := r.Client.Create(ctx, job, client.FieldOwner(cluster.FieldManager)); err != nil {
			return nil, fmt.Errorf("make Job %s: %w", key, err)
		}
		v.log.Info("a Job brings the dump", "job", job.Name)
		return job, nil
	case err != nil:
		return nil, fmt.Errorf("read Job %s: %w", key, err)
	case !metav1.IsControlledBy(job, v.pair):
		return nil, v.session.awaits(status.ReasonNameConflict, fmt.Sprintf("spec.bootstrap.dump: Job %s is not the pair's: delete it", job.Name))
	case over(job), job.DeletionTimestamp != nil:
		if err := deleteJob(ctx, r.Client, job); err != nil {
			return nil, err
		}
		return nil, v.session.awaits(string(agentapi.ProblemDumpAbsent),
			fmt.Sprintf("spec.bootstrap.dump: Job %s has ended and is made again", job.Name))
	}
	return job, nil
}

// dumpCertificate gives the Job its client certificate, and renews it.
func (r *PairReconciler) dumpCertificate(ctx context.Context, v *visit, job *batchv1.Job) error {
	ca, bundle, err := signerOf(ctx, r.Applier, v.pair)
	if err != nil {
		return err
	}
	key := client.ObjectKeyFromObject(job)
	var live corev1.Secret
	err = r.Live.Get(ctx, key, &live)
	found := err == nil
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read Secret %s: %w", key, err)
	}
	if found && !metav1.IsControlledBy(&live, job) {
		return v.session.awaits(status.ReasonNameConflict,
			fmt.Sprintf("spec.bootstrap.dump: Secret %s is not that of the Job of its name: delete it", key.Name))
	}
	subject := pki.Job(agentapi.DumpOperation)
	leaf := pki.Leaf{CertPEM: live.Data[corev1.TLSCertKey], KeyPEM: live.Data[corev1.TLSPrivateKeyKey]}
	due := certificateDue(ca, v.pair, leaf, subject, r.Now())
	if due == "" && bytes.Equal(live.Data[resources.KeyCA], bundle) {
		return nil
	}
	if due != "" {
		if leaf, err = ca.Issue(subject, r.Now()); err != nil {
			return err
		}
	}
	return r.writeDumpSecret(ctx, found, &live, resources.DumpTLSSecret(v.pair, job, bundle, leaf.CertPEM, leaf.KeyPEM))
}

func (r *PairReconciler) writeDumpSecret(ctx context.Context, found bool, live, wanted *corev1.Secret) (err error) {
	if !found {
		err = r.Client.Create(ctx, wanted, client.FieldOwner(cluster.FieldManager))
	} else {
		base := live.DeepCopy()
		live.Data = wanted.Data
		patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
		err = r.Client.Patch(ctx, live, patch, client.FieldOwner(cluster.FieldManager))
	}
	if err != nil {
		return fmt.Errorf("write Secret %s: %w", wanted.Name, err)
	}
	return nil
}

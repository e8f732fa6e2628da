package controllers

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// Keys of the Secret of the certificate authority that are about rotations.
const (
	keyNextCA           = "next.crt"
	keyNextCAKey        = "next.key"
	keyNextSince        = "next.since"
	keyPasswordsRotated = "passwords.rotated"
)

const (
	// caPublished is how long the next certificate authority is trusted before it signs
	// anything: kubelets bring a changed Secret into pods after up to two minutes.
	caPublished = 5 * time.Minute
	// caKept is how long a former certificate authority stays trusted after the last
	// certificate was made again, for members and applications that have not read it yet,
	// and for Jobs, whose certificates end within this time.
	caKept = pki.JobLife
)

// settledLimit is how long a pair must have been in order, with both members heard, before
// a former certificate authority is given up.
const settledLimit = 10 * time.Minute

// nextCA is a certificate authority that is published and does not sign yet.
type nextCA struct {
	authority *pki.Authority
	since     time.Time
}

// rotationAsked is the time of the request in an annotation of the pair; false when there is
// none, or one of the future, which would be carried out again and again.
func rotationAsked(p *v1alpha1.DatabasePair, annotation string, now time.Time) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339, p.Annotations[annotation])
	return at, err == nil && !at.After(now)
}

// rotationPending reports whether a rotation that is asked for is not in the Secret yet.
func rotationPending(p *v1alpha1.DatabasePair, data map[string][]byte, now time.Time) bool {
	if asked, ok := rotationAsked(p, v1alpha1.AnnotationRotatePasswords, now); ok {
		done, err := time.Parse(time.RFC3339, string(data[keyPasswordsRotated]))
		if err != nil || asked.After(done) {
			return true
		}
	}
	asked, ok := rotationAsked(p, v1alpha1.AnnotationRotateCA, now)
	present, err := pki.ParseAuthority(data[resources.KeyCA], data[resources.KeyCAKey])
	return ok && (err != nil || asked.After(pki.IssuedAt(present.Cert)))
}

// liveSecret is the data of a Secret of the pair, uncached; empty when there is none.
func (r *childrenReconciler) liveSecret(ctx context.Context, v *childrenVisit, name string) (map[string][]byte, error) {
	var s corev1.Secret
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: v.pair.Namespace, Name: name}, &s)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	return s.Data, nil
}

// rotateCA returns the certificate authority that signs now, and the one that is published
// to sign later, if there is one.
func (r *childrenReconciler) rotateCA(v *childrenVisit, data map[string][]byte, present *pki.Authority) (*pki.Authority, *nextCA, error) {
	now := r.Now()
	if since, err := time.Parse(time.RFC3339, string(data[keyNextSince])); err == nil {
		next, err := pki.ParseAuthority(data[keyNextCA], data[keyNextCAKey])
		switch {
		case err != nil:
			v.log.Error(err, "the next certificate authority cannot be used and is made again")
		case now.Sub(since) < caPublished:
			return present, &nextCA{authority: next, since: since}, nil
		default:
			r.tell(v, nil, normal, "CertificateAuthorityChanged",
				"the next certificate authority signs the pair's certificates now; "+
					"the former one stays trusted until none of its certificates is in use")
			return next, nil, nil
		}
	}
	asked, ok := rotationAsked(v.pair, v1alpha1.AnnotationRotateCA, now)
	if !ok || !asked.After(pki.IssuedAt(present.Cert)) {
		return present, nil, nil
	}
	made, err := pki.NewAuthority(v.pair.Name, now)
	if err != nil {
		return nil, nil, err
	}
	r.tell(v, nil, normal, "CertificateAuthorityPublished",
		fmt.Sprintf("published another certificate authority; it signs in %s", caPublished))
	return present, &nextCA{authority: made, since: now.UTC().Truncate(time.Second)}, nil
}

// trustedBefore are the certificate authorities beside the present one that are still to be
// trusted. While the pair's own Secret is whole they are taken from nowhere else, since
// others may write the Secrets of the members, too; and one goes when no certificate that is
// in use was signed by it and the newest has been in use for caKept. If the Secret was lost,
// the members' Secrets are all that tells.
func (r *childrenReconciler) trustedBefore(ctx context.Context, v *childrenVisit, data map[string][]byte, whole bool) ([]byte, error) {
	var leaves []pki.Leaf
	older := bytes.Clone(data[resources.KeyCA])
	for _, name := range []string{v.names.TLS(0), v.names.TLS(1)} {
		leaf, err := r.readSecret(ctx, v, name)
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, pki.Leaf{CertPEM: leaf[corev1.TLSCertKey]})
		if !whole {
			older = append(older, leaf[resources.KeyCA]...)
		}
	}
	if !whole {
		return older, nil
	}
	now := r.Now()
	if !v.settled.lasts(settledLimit, now) {
		return older, nil
	}
	return pki.Keep(older, func(ca *x509.Certificate) bool {
		for _, leaf := range leaves {
			if issued, signed := leaf.SignedBy(ca); signed || now.Sub(issued) < caKept {
				return true
			}
		}
		return false
	}), nil
}

// rotatePasswords reports whether the pair's own accounts get new passwords at this visit. The
// agents carry them into mysqld and keep the former ones valid until both members have the new. A
// rotation waits for the end of the last one, so that no member needs an older password than
// the former one.
func (r *childrenReconciler) rotatePasswords(v *childrenVisit, data map[string][]byte) (rotated bool) {
	v.material.passwordsRotated = string(data[keyPasswordsRotated])
	asked, ok := rotationAsked(v.pair, v1alpha1.AnnotationRotatePasswords, r.Now())
	done, err := time.Parse(time.RFC3339, v.material.passwordsRotated)
	if !ok || (err == nil && !asked.After(done)) {
		return false
	}
	if slices.ContainsFunc(resources.FormerKeys(), func(key string) bool { return len(v.copies[key]) > 0 }) {
		r.warnOnce(v, v.pair, "RotationWaits", "new passwords are made when both members work with the ones that were made last")
		return false
	}
	v.material.passwordsRotated = asked.UTC().Format(time.RFC3339)
	if len(v.copies) == 0 {
		return false
	}
	r.tell(v, nil, normal, "PasswordsChanged", "made new passwords for the pair's own accounts; the agents carry them into mysqld")
	return true
}

// keepFormer adds to the passwords those before the last rotation, which members still need: a
// member starts with what is in its Secret, and the change of its accounts may not have reached
// its mysqld. They go when both agents have said that they work with the new ones. former are
// those that are replaced at this visit.
func (r *childrenReconciler) keepFormer(v *childrenVisit, internal, former map[string][]byte) {
	kept := map[string][]byte{}
	for _, key := range resources.FormerKeys() {
		candidates := [][]byte{former[key], v.copies[key]}
		if len(v.copies) == 0 { // they were lost
			candidates = append(candidates, internal[key])
		}
		if password := firstPrintable(candidates...); password != nil {
			kept[key] = password
		}
	}
	if len(kept) == 0 {
		return
	}
	if !v.material.rotated && v.revisions.both(revisionOf(v.material.passwords)) {
		r.tell(v, nil, normal, "FormerPasswordsRemoved", "both members work with the new passwords of the pair's own accounts")
		return
	}
	maps.Copy(v.material.passwords, kept)
}

// revisionOf is what agents report of these passwords.
func revisionOf(passwords map[string][]byte) string {
	text := map[string]string{}
	for name, password := range passwords {
		text[name] = string(password)
	}
	return agentapi.PasswordsRevision(text)
}

// certificateDue says why a certificate is made again: what Due says, or a rotation.
func certificateDue(ca *pki.Authority, p *v1alpha1.DatabasePair, leaf pki.Leaf, s pki.Subject, now time.Time) string {
	if why := ca.Due(leaf, s, now); why != "" {
		return why
	}
	asked, ok := rotationAsked(p, v1alpha1.AnnotationRotateCertificates, now)
	if issued, _ := leaf.SignedBy(ca.Cert); ok && asked.After(issued) {
		return "new certificates were asked for"
	}
	return ""
}

// rotationData is what the Secret of the certificate authority keeps of rotations.
func (m *material) rotationData() (map[string][]byte, error) {
	out := map[string][]byte{}
	if m.passwordsRotated != "" {
		out[keyPasswordsRotated] = []byte(m.passwordsRotated)
	}
	if m.next == nil {
		return out, nil
	}
	key, err := m.next.authority.KeyPEM()
	if err != nil {
		return nil, err
	}
	out[keyNextCA] = m.next.authority.CertPEM
	out[keyNextCAKey] = key
	out[keyNextSince] = []byte(m.next.since.UTC().Format(time.RFC3339))
	return out, nil
}

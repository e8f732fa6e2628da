package controllers

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// The Secret of the authority, which nothing mounts, also keeps a copy of every password,
// so that a Secret that someone deletes or empties can be made again as it was: mysqld
// knows the old passwords, and a new one would lock the pair out. It stays as long as the
// volumes do, so that a new pair of the name can take them up.
const copyPrefix = "password."

// material are the secrets of one pair as they are to be.
type material struct {
	authority *pki.Authority
	bundle    []byte
	// kept: the authority is the one in the Secret.
	kept      bool
	passwords map[string][]byte
	// next is a certificate authority that is published and does not sign yet; nil for none.
	next *nextCA
	// passwordsRotated is the time of the last request for new passwords that was carried out.
	passwordsRotated string
	// rotated: the passwords of the pair's own accounts are made again at this visit.
	rotated bool
}

// readSecret is the data of a Secret of the pair; empty when there is none.
func (r *childrenReconciler) readSecret(ctx context.Context, v *childrenVisit, name string) (map[string][]byte, error) {
	var s corev1.Secret
	_, err := r.Applier.Find(ctx, v.pair, types.NamespacedName{Namespace: v.pair.Namespace, Name: name}, &s)
	return s.Data, err
}

// ensureCA makes the pair's certificate authority, and puts back what was deleted.
func (r *childrenReconciler) ensureCA(ctx context.Context, v *childrenVisit) error {
	data, err := r.readSecret(ctx, v, v.names.CA())
	if err != nil {
		return err
	}
	if v.writes && rotationPending(v.pair, data, r.Now()) {
		// A cache that has not seen the last write would have everything made again once more.
		if data, err = r.liveSecret(ctx, v, v.names.CA()); err != nil {
			return err
		}
	}
	v.copies = copiesIn(data)
	// A pair whose Secret does not say so was made by an operator that did not sign.
	v.keyring.acceptUnsigned(unsignedCounts(data))
	now := r.Now()
	made, err := pki.ParseAuthority(data[resources.KeyCA], data[resources.KeyCAKey])
	whole := err == nil
	v.material.kept = whole
	if err != nil || now.After(pki.RenewAt(made.Cert)) {
		if len(data[resources.KeyCAKey]) > 0 {
			r.tell(v, nil, warning, "CAReplaced", "replaced the pair's certificate authority: it could not be used any more")
		}
		v.material.kept = false
		if made, err = pki.NewAuthority(v.pair.Name, now); err != nil {
			return err
		}
	} else if v.writes {
		if made, v.material.next, err = r.rotateCA(v, data, made); err != nil {
			return err
		}
	}
	// The members' certificates are of the old authority until they are made again, and
	// the members read them up to a minute later: both are trusted meanwhile.
	older, err := r.trustedBefore(ctx, v, data, whole)
	if err != nil {
		return err
	}
	if v.material.next != nil {
		older = append(older, v.material.next.authority.CertPEM...)
	}
	v.material.authority = made
	v.material.bundle = made.Bundle(older, now)
	if v.writes {
		v.material.rotated = r.rotatePasswords(v, data)
	}
	return nil
}

// copiesIn are the copies of passwords that the Secret of the certificate authority keeps.
func copiesIn(data map[string][]byte) map[string][]byte {
	copies := map[string][]byte{}
	for k, value := range data {
		if key, ok := strings.CutPrefix(k, copyPrefix); ok {
			copies[key] = value
		}
	}
	return copies
}

// ensurePasswords takes the passwords that mysqld knows: for the pair's own accounts the
// copies, which nobody edits by mistake; for the application's, which its owner may
// change in mysqld and in the Secret, what the Secret says. New ones come last.
func (r *childrenReconciler) ensurePasswords(ctx context.Context, v *childrenVisit) error {
	internal, err := r.readSecret(ctx, v, v.names.Internal())
	if err != nil {
		return err
	}
	app, err := r.readSecret(ctx, v, v.names.App())
	if err != nil {
		return err
	}
	v.material.passwords = map[string][]byte{}
	former := map[string][]byte{}
	var restored []string
	for _, key := range resources.InternalKeys() {
		live := internal[key]
		kept := v.copies[key]
		formerKey := agentapi.FormerPasswordFile(key)
		// An operator that ended amid a rotation left the former one there.
		changed := len(kept) > 0 && len(internal) > 0 && !bytes.Equal(live, kept)
		if changed && !bytes.Equal(live, v.copies[formerKey]) {
			restored = append(restored, key)
		}
		candidates := [][]byte{kept, live}
		if v.material.rotated {
			former[formerKey] = firstPrintable(candidates...)
			candidates = nil
		}
		if v.material.passwords[key], err = firstUsable(candidates...); err != nil {
			return err
		}
	}
	if len(restored) > 0 {
		r.tell(v, nil, warning, "PasswordRestored",
			fmt.Sprintf("put back %s of Secret %s: mysqld knows the former password", strings.Join(restored, ", "), v.names.Internal()))
	}
	if v.material.passwords[appCopy], err = r.appPassword(ctx, v, app[resources.KeyPassword]); err != nil {
		return err
	}
	r.keepFormer(v, internal, former)
	return r.ensureCASecret(ctx, v)
}

// firstUsable is the first password that can be used, or a new one.
func firstUsable(candidates ...[]byte) ([]byte, error) {
	if c := firstPrintable(candidates...); c != nil {
		return c, nil
	}
	return newPassword()
}

// firstPrintable is the first password that can be used; nil when none can.
func firstPrintable(candidates ...[]byte) []byte {
	for _, c := range candidates {
		if printable(c) {
			return c
		}
	}
	return nil
}

// appCopy is the name of the application's password among the copies.
const appCopy = "app"

// ensureCASecret keeps authority and copies before anything uses them.
func (r *childrenReconciler) ensureCASecret(ctx context.Context, v *childrenVisit) error {
	key, err := v.material.authority.KeyPEM()
	if err != nil {
		return err
	}
	wish := resources.CASecret(v.pair, v.material.bundle, key, !v.keyring.unsignedCounts())
	rotation, err := v.material.rotationData()
	if err != nil {
		return err
	}
	wish.WithData(rotation)
	for name, value := range v.material.passwords {
		wish.WithData(map[string][]byte{copyPrefix + name: value})
	}
	return r.ensure(ctx, v, wish, &corev1.Secret{})
}

// ensureSecrets makes the Secrets that are mounted or handed out.
func (r *childrenReconciler) ensureSecrets(ctx context.Context, v *childrenVisit) error {
	renewed, err := v.keyring.trust(v.material.authority, v.material.bundle, r.Key, r.Now())
	if renewed {
		r.agents.forgetConnections(v.name)
		r.notify(v.name)
	}
	if err != nil {
		return err
	}
	passwords := maps.Clone(v.material.passwords)
	app := passwords[appCopy]
	delete(passwords, appCopy)
	if err := r.ensure(ctx, v, resources.InternalSecret(v.pair, passwords), &corev1.Secret{}); err != nil {
		return err
	}
	application, err := resources.AppSecret(v.pair, string(app), v.material.bundle)
	if err != nil {
		return err
	}
	if err := r.ensure(ctx, v, application, &corev1.Secret{}); err != nil {
		return err
	}
	for _, o := range ordinals {
		if err := r.ensureMemberCertificate(ctx, v, o); err != nil {
			return err
		}
	}
	return nil
}

func (r *childrenReconciler) ensureMemberCertificate(ctx context.Context, v *childrenVisit, o pair.Ordinal) error {
	data, err := r.readSecret(ctx, v, v.names.TLS(o))
	if err != nil {
		return err
	}
	leaf := pki.Leaf{CertPEM: data[corev1.TLSCertKey], KeyPEM: data[corev1.TLSPrivateKeyKey]}
	names := v.pair.Spec.Services.Primary.Hostnames
	if v.pair.Spec.Router.Enabled {
		names = slices.Concat(names, pki.RouterNames(v.names))
	}
	subject := pki.Member(v.names, o, names...)
	if why := certificateDue(v.material.authority, v.pair, leaf, subject, r.Now()); why != "" {
		if leaf, err = v.material.authority.Issue(subject, r.Now()); err != nil {
			return err
		}
		if len(data) > 0 {
			r.tell(v, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v.pair.Namespace, Name: v.names.TLS(o)}}, normal,
				"CertificateRenewed", fmt.Sprintf("renewed the certificate of %s: %s", o.Member(v.pair.Name), why))
		}
	}
	return r.ensure(ctx, v, resources.TLSSecret(v.pair, o, v.material.bundle, leaf.CertPEM, leaf.KeyPEM), &corev1.Secret{})
}

const (
	alphabet       = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	passwordLength = 32
)

// newPassword is random letters and digits, so that it needs no quoting anywhere.
func newPassword() ([]byte, error) {
	out := make([]byte, passwordLength)
	for i := range out {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			return nil, fmt.Errorf("make a password: %w", err)
		}
		out[i] = alphabet[n.Int64()]
	}
	return out, nil
}

// printable passwords can be written into a file, a connection string and a statement.
func printable(p []byte) bool {
	for _, c := range p {
		if !bytes.ContainsRune([]byte(alphabet), rune(c)) {
			return false
		}
	}
	return len(p) >= 12
}

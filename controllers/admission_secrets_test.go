package controllers_test

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/resources"
)

// What a holder of the built-in role edit, who may read and write Secrets, may try.
func (w *shielded) secretAttempts() []attempt {
	const byOperator = "written by the dbpair operator only"
	write := func(name string, s *corev1.Secret, key, value, says string) attempt {
		return attempt{name, func(as client.Client) error {
			return w.patched(as, s, func() { s.Data[key] = []byte(value) })
		}, says}
	}
	remove := func(name string, s *corev1.Secret, says string) attempt {
		return attempt{name, func(as client.Client) error { return as.Delete(w.ctx, s.DeepCopy(), client.DryRunAll) }, says}
	}
	return []attempt{
		write("replace the certificate authority", w.ca, resources.KeyCA, "x", byOperator),
		write("have an unsigned Lease count", w.ca, resources.KeyLeaseSigned, "", byOperator),
		write("publish another certificate authority", w.ca, "next.crt", "x", byOperator),
		write("change the password of root", w.internal, "root", "Password12345", byOperator),
		write("have a member trust another authority", w.tls, resources.KeyCA, "x", byOperator),
		write("change where applications connect", w.app, "uri", "mysql://elsewhere", byOperator),
		write("add a key for applications", w.app, "x", "y", byOperator),
		write("change the certificate of a Job", w.ofJob, "tls.key", "x", byOperator),
		{"take a password away", func(as client.Client) error {
			return w.patched(as, w.internal, func() { delete(w.internal.Data, "repair") })
		}, byOperator},
		{"make the passwords immutable", func(as client.Client) error {
			return w.patched(as, w.internal, func() { w.internal.Immutable = ptr.To(true) })
		}, byOperator},
		{"hide the certificate authority", func(as client.Client) error {
			return w.patched(as, w.ca, label(w.ca, resources.LabelPair, ""))
		}, byOperator},
		{"remove the owner", func(as client.Client) error {
			return w.patched(as, w.internal, func() { w.internal.OwnerReferences = nil })
		}, byOperator},
		{"make one of the pair", func(as client.Client) error {
			return as.Create(w.ctx, &corev1.Secret{ObjectMeta: w.meta("shop-x", resources.Labels("shop"))})
		}, "leave the label off"},
		{"take one of his own into the pair", func(as client.Client) error {
			own := &corev1.Secret{ObjectMeta: w.meta("own", nil)}
			w.must(client.IgnoreAlreadyExists(w.Create(w.ctx, own)))
			return w.patched(as, own, label(own, resources.LabelPair, "shop"))
		}, byOperator},
		remove("delete the passwords", w.internal, "delete the DatabasePair"),
		remove("delete the application's", w.app, "delete the DatabasePair"),
		remove("delete a certificate", w.tls, "delete the DatabasePair"),
		{"delete all", func(as client.Client) error {
			return as.DeleteAllOf(w.ctx, &corev1.Secret{}, client.InNamespace(w.namespace), client.DryRunAll)
		}, "delete the DatabasePair"},
		remove("delete the certificate authority", w.ca, "delete the DatabasePair"),
		remove("delete the certificate of a Job", w.ofJob, "delete the DatabasePair"),
		write("change the application's password", w.app, resources.KeyPassword, "Password12345", ""),
		{"annotate it", func(as client.Client) error { return w.patched(as, w.app, annotation(w.app, "a", "b")) }, ""},
		{"label it", func(as client.Client) error { return w.patched(as, w.app, label(w.app, "team", "web")) }, ""},
		{"make one of his own", func(as client.Client) error {
			return as.Create(w.ctx, &corev1.Secret{ObjectMeta: w.meta("mine", nil)})
		}, ""},
	}
}

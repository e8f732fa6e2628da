package controllers_test

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// What a holder of the built-in role edit may try, kind by kind.

func (w *shielded) leaseAttempts() []attempt {
	l := w.lease
	return []attempt{
		{"write the holder", func(as client.Client) error {
			return w.patched(as, l, func() { l.Spec.HolderIdentity = ptr.To("shop-1/x") })
		}, "kubectl dbpair"},
		{"write the ledger", func(as client.Client) error {
			return w.patched(as, l, annotation(l, "dbpair.io/ledger", "{}"))
		}, "kubectl dbpair"},
		{"remove the labels", func(as client.Client) error { return w.patched(as, l, func() { l.Labels = nil }) }, "kubectl dbpair"},
		{"delete it", func(as client.Client) error { return as.Delete(w.ctx, l.DeepCopy()) }, "delete the DatabasePair"},
		{"delete all Leases", func(as client.Client) error {
			return as.DeleteAllOf(w.ctx, &coordinationv1.Lease{}, client.InNamespace(w.namespace))
		}, "delete the DatabasePair"},
		{"make one of the pair", func(as client.Client) error {
			return as.Create(w.ctx, &coordinationv1.Lease{ObjectMeta: w.meta("other", map[string]string{resources.LabelPair: "shop"})})
		}, "kubectl dbpair"},
		{"make one of his own", func(as client.Client) error {
			return as.Create(w.ctx, &coordinationv1.Lease{ObjectMeta: w.meta("mine", nil)})
		}, ""},
	}
}

func (w *shielded) serviceAttempts() []attempt {
	s := w.service
	spec := func(name string, change func()) attempt {
		return attempt{name, func(as client.Client) error { return w.patched(as, s, change) }, "decided by the dbpair operator only"}
	}
	labeled := func(name, key, value string) attempt {
		return attempt{name, func(as client.Client) error { return w.patched(as, s, label(s, key, value)) }, "by the dbpair operator only"}
	}
	return []attempt{
		spec("change the selector", func() { s.Spec.Selector = map[string]string{"app": "x"} }),
		spec("change the port", func() { s.Spec.Ports[0].Port = 3307 }),
		spec("lead to a foreign name", func() {
			s.Spec.Type = corev1.ServiceTypeExternalName
			s.Spec.ExternalName = "db.example.com"
		}),
		spec("set an external name beside the type", func() { s.Spec.ExternalName = "db.example.com" }),
		spec("keep traffic on each node", func() { s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal) }),
		spec("take over an address", func() { s.Spec.ExternalIPs = []string{"192.0.2.1"} }),
		spec("make it reachable from outside", func() { s.Spec.Type = corev1.ServiceTypeNodePort }),
		spec("prefer near endpoints", func() { s.Spec.TrafficDistribution = ptr.To(corev1.ServiceTrafficDistributionPreferClose) }),
		labeled("remove the label of the pair", resources.LabelPair, ""),
		labeled("remove the label of the operator", resources.LabelManagedBy, ""),
		labeled("have its endpoints mirrored", resources.LabelSkipMirror, ""),
		labeled("take it from kube-proxy", "service.kubernetes.io/service-proxy-name", "x"),
		{"say what it was detached from", func(as client.Client) error {
			return w.patched(as, s, annotation(s, resources.AnnotationDetached, "x"))
		}, "by the dbpair operator only"},
		{"change a label through the status", func(as client.Client) error {
			return w.patchedStatus(as, s, label(s, resources.LabelPair, "x"))
		}, "by the dbpair operator only"},
		{"remove the owner", func(as client.Client) error {
			return w.patched(as, s, func() { s.OwnerReferences = nil })
		}, "by the dbpair operator only"},
		{"delete it", func(as client.Client) error { return as.Delete(w.ctx, s.DeepCopy()) }, "delete the DatabasePair"},
		{"make one of the pair", func(as client.Client) error {
			return as.Create(w.ctx, &corev1.Service{
				ObjectMeta: w.meta("other", map[string]string{resources.LabelPair: "shop"}),
				Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
			})
		}, "leave the label off"},
		{"annotate it", func(as client.Client) error { return w.patched(as, s, annotation(s, "a", "b")) }, ""},
		{"label it", func(as client.Client) error { return w.patched(as, s, label(s, "team", "web")) }, ""},
		{"write the status of a load balancer", func(as client.Client) error {
			return w.patchedStatus(as, s, func() {
				s.Status.Conditions = []metav1.Condition{{
					Type:               "A",
					Status:             "True",
					Reason:             "B",
					LastTransitionTime: metav1.Now(),
				}}
			})
		}, ""},
	}
}

func (w *shielded) podAttempts() []attempt {
	p := w.pod
	labeled := func(name, key, value string) attempt {
		return attempt{name, func(as client.Client) error { return w.patched(as, p, label(p, key, value)) }, "kubectl dbpair failover"}
	}
	return []attempt{
		labeled("lead clients to a member", "epoch.dbpair.io/9", "open"),
		labeled("lead readers to a member", pair.LabelReadable, "true"),
		labeled("take a member from its Services", resources.LabelName, ""),
		labeled("hide a member from the operator", resources.LabelManagedBy, ""),
		labeled("rename a member", appsv1.StatefulSetPodNameLabel, "shop-1"),
		labeled("call a member outdated", appsv1.ControllerRevisionHashLabelKey, "shop-x"),
		labeled("change the pair of a member", resources.LabelPair, "other"),
		{"change a label through the status", func(as client.Client) error {
			return w.patchedStatus(as, p, label(p, "epoch.dbpair.io/9", "open"))
		}, "kubectl dbpair failover"},
		{"hide a member through the status", func(as client.Client) error {
			return w.patchedStatus(as, p, label(p, resources.LabelManagedBy, ""))
		}, "kubectl dbpair failover"},
		{"change what is noted of the settings", func(as client.Client) error {
			return w.patched(as, p, annotation(p, resources.AnnotationSettings, "x"))
		}, "kubectl dbpair failover"},
		{"give a member another owner", func(as client.Client) error {
			return w.patched(as, p, func() {
				p.OwnerReferences = []metav1.OwnerReference{{
					APIVersion: "v1",
					Kind:       "ConfigMap",
					Name:       "x",
					UID:        "x",
				}}
			})
		}, "owner references"},
		{"change the image of a member", func(as client.Client) error {
			return w.patched(as, p, func() { p.Spec.Containers[0].Image = "other" })
		}, "spec.podTemplate"},
		{"remove the finalizer", func(as client.Client) error {
			return w.patched(as, p, func() { p.Finalizers = nil })
		}, "confirm-dead"},
		{"make a member", func(as client.Client) error { return as.Create(w.ctx, member(w.namespace, "shop-1")) }, "leave the label off"},
		{"label a member", func(as client.Client) error { return w.patched(as, p, label(p, "team", "web")) }, ""},
		{"annotate a member", func(as client.Client) error { return w.patched(as, p, annotation(p, "a", "b")) }, ""},
		{"delete the pod of a member", func(as client.Client) error { return as.Delete(w.ctx, p.DeepCopy(), client.DryRunAll) }, ""},
		{"write a status", func(as client.Client) error {
			return w.patchedStatus(as, p, func() { p.Status.Message = "x" })
		}, ""},
	}
}

func (w *shielded) statefulSetAttempts() []attempt {
	set := w.set
	spec := func(name string, change func()) attempt {
		return attempt{name, func(as client.Client) error { return w.patched(as, set, change) }, "kubectl rollout restart"}
	}
	scale := func(as client.Client, replicas int32) error {
		return as.SubResource("scale").Update(w.ctx, set.DeepCopy(), client.WithSubResourceBody(
			&autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}))
	}
	return []attempt{
		spec("add a container", func() {
			set.Spec.Template.Spec.Containers = append(set.Spec.Template.Spec.Containers, corev1.Container{Name: "x", Image: "x"})
		}),
		spec("share the processes", func() { set.Spec.Template.Spec.ShareProcessNamespace = ptr.To(true) }),
		spec("give new pods an epoch", func() { set.Spec.Template.Labels["epoch.dbpair.io/9223372036854775807"] = "open" }),
		spec("restart all members at once", func() { set.Spec.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType }),
		spec("kubectl rollout restart", func() {
			metav1.SetMetaDataAnnotation(&set.Spec.Template.ObjectMeta, "kubectl.kubernetes.io/restartedAt", "2026-01-01T00:00:00Z")
		}),
		spec("change the number of members", func() { set.Spec.Replicas = ptr.To[int32](3) }),
		{"scale to none", func(as client.Client) error { return scale(as, 0) }, "is not scaled"},
		{"scale to three", func(as client.Client) error { return scale(as, 3) }, "is not scaled"},
		{"scale to what it is", func(as client.Client) error { return scale(as, 2) }, ""},
		{"remove the label of the operator", func(as client.Client) error {
			return w.patched(as, set, label(set, resources.LabelManagedBy, ""))
		}, "by the dbpair operator"},
		{"change a label through the status", func(as client.Client) error {
			return w.patchedStatus(as, set, label(set, resources.LabelPair, "x"))
		}, "by the dbpair operator"},
		{"remove the owner", func(as client.Client) error {
			return w.patched(as, set, func() { set.OwnerReferences = nil })
		}, "by the dbpair operator"},
		{"delete it", func(as client.Client) error { return as.Delete(w.ctx, set.DeepCopy()) }, "delete the DatabasePair"},
		{"delete it and leave the pods", func(as client.Client) error {
			return as.Delete(w.ctx, set.DeepCopy(), client.PropagationPolicy(metav1.DeletePropagationOrphan))
		}, "delete the DatabasePair"},
		{"make one whose pods look like members", func(as client.Client) error {
			return as.Create(w.ctx, statefulSet(w.namespace, "evil", map[string]string{
				resources.LabelPair: "shop", resources.LabelName: resources.Product, pair.LabelReadable: "true",
			}))
		}, "pod template"},
		{"make one of his own", func(as client.Client) error {
			return as.Create(w.ctx, statefulSet(w.namespace, "mine", map[string]string{"app": "mine"}))
		}, ""},
		{"annotate it", func(as client.Client) error { return w.patched(as, set, annotation(set, "a", "b")) }, ""},
		{"write the configuration of the agents", func(as client.Client) error {
			return w.patched(as, w.config, func() { w.config.Data["agent.json"] = "{}" })
		}, "change the DatabasePair"},
		{"delete the configuration of the agents", func(as client.Client) error {
			return as.Delete(w.ctx, w.config.DeepCopy())
		}, "change the DatabasePair"},
	}
}

func (w *shielded) jobAttempts() []attempt {
	pod := &corev1.Pod{ObjectMeta: w.meta("x", resources.JobLabels("shop")), Spec: jobTemplate().Spec}
	return []attempt{
		{"write a result", func(as client.Client) error {
			return w.patched(as, w.report, func() { w.report.Data = map[string]string{"result.json": "{}"} })
		}, "only its Job and the dbpair operator"},
		{"take a result for the configuration of the agents", func(as client.Client) error {
			return w.patched(as, w.config, label(w.config, resources.LabelJobOf, "shop"))
		}, "of a dbpair pair"}, // two policies refuse it, and either may answer
		{"delete a result", func(as client.Client) error { return as.Delete(w.ctx, w.report.DeepCopy()) }, "only its Job and the dbpair operator"},
		{"make a ConfigMap of a Job", func(as client.Client) error {
			return as.Create(w.ctx, &corev1.ConfigMap{ObjectMeta: w.meta("shop-job-2", reportLabels())})
		}, "only its Job and the dbpair operator"},
		{"make a Job of the pair", func(as client.Client) error {
			return as.Create(w.ctx, &batchv1.Job{
				ObjectMeta: w.meta("shop-job-2", resources.JobLabels("shop")), Spec: batchv1.JobSpec{Template: jobTemplate()},
			})
		}, "leave the label off"},
		{"make a Job whose pods look like those of the pair's", func(as client.Client) error {
			return as.Create(w.ctx, &batchv1.Job{
				ObjectMeta: w.meta("evil", nil), Spec: batchv1.JobSpec{Template: jobTemplate()},
			})
		}, "leave the label off"},
		{"make a pod that looks like a Job's", func(as client.Client) error { return as.Create(w.ctx, pod.DeepCopy()) }, "leave the label off"},
		{"suspend a Job", func(as client.Client) error {
			return w.patched(as, w.job, func() { w.job.Spec.Suspend = ptr.To(true) })
		}, "delete the DatabasePairOperation"},
		{"make a Job of his own", func(as client.Client) error {
			template := jobTemplate()
			template.Labels = nil
			return as.Create(w.ctx, &batchv1.Job{ObjectMeta: w.meta("mine", nil), Spec: batchv1.JobSpec{Template: template}})
		}, ""},
		{"delete a Job", func(as client.Client) error { return as.Delete(w.ctx, w.job.DeepCopy(), client.DryRunAll) }, ""},
	}
}

package controllers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func TestEachWrongFieldGetsItsMessage(t *testing.T) {
	s := newScene(t)
	for name, tc := range map[string]struct{ name, spec, says string }{
		"no storage":                         {"a", "mysql: {}", "spec.storage"},
		"a name too long":                    {strings.Repeat("a", 41), plain, "metadata.name must be at most 40 characters"},
		"a name that begins with a digit":    {"1a", plain, "must start with a lower-case letter"},
		"a name with a dot":                  {"a.b", plain, "lower-case letters, digits and '-'"},
		"a volume too small":                 {"a", "storage: {size: 1Mi}", "spec.storage.size must be at least 1Gi"},
		"a binlog volume too small":          {"a", "storage: {size: 1Gi, binlog: {size: 100Mi}}", "spec.storage.binlog.size must be at least 1Gi"},
		"a binlog volume without a size":     {"a", "storage: {size: 1Gi, binlog: {}}", "spec.storage.binlog.size"},
		"a size that is no size":             {"a", "storage: {size: much}", "spec.storage.size"},
		"an access mode of shared volumes":   {"a", "storage: {size: 1Gi, accessMode: ReadWriteMany}", "ReadWriteOncePod"},
		"an empty image":                     {"a", plain + "\nmysql: {image: \"\"}", "spec.mysql.image"},
		"an owned option":                    {"a", plain + "\nmysql: {config: {super_read_only: \"OFF\"}}", "owned by the operator"},
		"an owned option with dashes":        {"a", plain + "\nmysql: {config: {Super-Read-Only: \"OFF\"}}", "owned by the operator"},
		"an owned option behind loose_":      {"a", plain + "\nmysql: {config: {loose_rpl_semi_sync_source_timeout: \"1\"}}", "owned by the operator"},
		"an owned option behind skip-":       {"a", plain + "\nmysql: {config: {skip-grant-tables: \"\"}}", "owned by the operator"},
		"an option name with a space":        {"a", plain + "\nmysql: {config: {\"a b\": \"1\"}}", "option name holds only lower-case letters"},
		"an option of two lines":             {"a", plain + "\nmysql: {config: {sql_mode: \"a\\nskip-grant-tables\"}}", "spec.mysql.config: sql_mode: a value has at most"},
		"an option that is a list":           {"a", plain + "\nmysql: {config: {sql_mode: [ANSI]}}", "spec.mysql.config: sql_mode: a value is a string"},
		"an option that is an object":        {"a", plain + "\nmysql: {config: {sql_mode: {a: 1}}}", "spec.mysql.config: sql_mode: a value is a string"},
		"a number beyond 64 bits":            {"a", plain + "\nmysql: {config: {max_binlog_cache_size: 18446744073709551615}}", "max_binlog_cache_size: the number is too large"},
		"a retention too short":              {"a", plain + "\nmysql: {binlogRetention: 1m}", "at least 10m"},
		"a share above all":                  {"a", plain + "\nmysql: {binlogMaxSize: 95%}", "spec.mysql.binlogMaxSize"},
		"a quarantine nobody can look at":    {"a", plain + "\nrejoin: {quarantineRetention: {time: 5m}}", "quarantineRetention.time must be at least 1h"},
		"a quarantine above all":             {"a", plain + "\nrejoin: {quarantineRetention: {size: 95%}}", "spec.rejoin.quarantineRetention.size"},
		"a quarantine of a negative size":    {"a", plain + "\nrejoin: {quarantineRetention: {size: -1Gi}}", "spec.rejoin.quarantineRetention.size"},
		"a mode of another product":          {"a", plain + "\ndurability: {mode: Sync}", "spec.durability.mode"},
		"a timeout too short":                {"a", plain + "\ndurability: {passiveTimeout: 10ms}", "spec.durability.passiveTimeout"},
		"a lease too short":                  {"a", plain + "\nauthority: {leaseDuration: 1s}", "spec.authority.leaseDuration must be from 2s to 5m"},
		"a margin too small":                 {"a", plain + "\nauthority: {leaseDuration: 60s, safetyMargin: 1s}", "spec.authority.safetyMargin must be at least 10 %"},
		"a margin just too small":            {"a", plain + "\nauthority: {leaseDuration: 60s, safetyMargin: 6399ms}", "spec.authority.safetyMargin must be at least 10 %"},
		"a warning after death":              {"a", plain + "\nfailover: {warnAfter: 9s}", "warnAfter must not exceed deadAfter"},
		"a slow heartbeat":                   {"a", plain + "\nfailover: {heartbeatInterval: 4s}", "heartbeatInterval must not exceed warnAfter"},
		"a duration that is none":            {"a", plain + "\nfailover: {deadAfter: soon}", "spec.failover.deadAfter"},
		"AckFenced without waiting":          {"a", plain + "\ndurability: {mode: Async}\nfailover: {promoteOn: AckFenced}", "needs durability.mode Lossless"},
		"a heartbeat too slow for the lease": {"b", plain + "\nauthority: {leaseDuration: 3s}", "leaseDuration must be at least four times"},
		"a source that is nothing":           {"a", plain + "\nnetwork: {allowFrom: [{}]}", "needs podSelector, namespaceSelector or cidr"},
		"a source that is two things":        {"a", plain + "\nnetwork: {allowFrom: [{cidr: 10.0.0.0/8, podSelector: {}}]}", "takes no selector"},
		"a source that is no block":          {"a", plain + "\nnetwork: {allowFrom: [{cidr: 10.0.0.300/8}]}", "must be a block of addresses"},
		"a label of the operator's":          {"a", plain + "\npodTemplate: {metadata: {labels: {dbpair.io/role: primary}}}", "belong to the operator"},
		"a router without an image":          {"a", plain + "\nrouter: {image: \"\"}", "spec.router.image"},
		"a router for nobody":                {"a", plain + "\nrouter: {maxConnections: 0}", "spec.router.maxConnections"},
		"a router with the operator's notes": {"a", plain + "\nrouter: {service: {annotations: {dbpair.io/a: b}}}", "spec.router.service.annotations"},
		"a router's Service of another type": {"a", plain + "\nrouter: {service: {type: ExternalName}}", "spec.router.service.type"},
		"a policy of no outside":             {"a", plain + "\nservices: {primary: {externalTrafficPolicy: Local}}", "is for the types NodePort and LoadBalancer"},
		"a policy of another kind":           {"a", plain + "\nservices: {primary: {type: NodePort, externalTrafficPolicy: Node}}", "externalTrafficPolicy"},
		"families that are none":             {"a", plain + "\nservices: {ipFamilyPolicy: DualStack}", "spec.services.ipFamilyPolicy"},
		"history of none":                    {"a", plain + "\noperationHistoryLimit: 0", "spec.operationHistoryLimit"},
		"a schedule of four fields":          {"a", plain + "\nchecksum: {schedule: \"0 2 * *\"}", "spec.checksum.schedule must have five fields"},
		"a drill without a schedule":         {"a", plain + "\nswitchover: {drill: {}}", "spec.switchover.drill.schedule"},
		"a drill of four fields":             {"a", plain + "\nswitchover: {drill: {schedule: \"0 2 * *\"}}", "spec.switchover.drill.schedule must have five fields"},
		"a drill with a zone":                {"a", plain + "\nswitchover: {drill: {schedule: \"CRON_TZ=Asia/Tokyo 0 2 * * *\"}}", "the time zone goes into spec.switchover.drill.timeZone"},
		"a drill in the operator's zone":     {"a", plain + "\nswitchover: {drill: {schedule: \"@weekly\", timeZone: Local}}", "spec.switchover.drill.timeZone must be a name"},
		"a drill that may begin at no time":  {"a", plain + "\nswitchover: {drill: {schedule: \"@weekly\", startingDeadline: 10s}}", "spec.switchover.drill.startingDeadline must be from 1m to 168h"},
		"a schedule with a zone":             {"a", plain + "\nchecksum: {schedule: \"CRON_TZ=Asia/Tokyo 0 2 * * *\"}", "the time zone goes into spec.checksum.timeZone"},
		"the zone of the operator":           {"a", plain + "\nchecksum: {timeZone: Local}", "spec.checksum.timeZone must be a name"},
		"a lock of a minute":                 {"a", plain + "\nchecksum: {maxLockTime: 1m}", "spec.checksum.maxLockTime must be from 20ms to 10s"},
		"a starting deadline of a second":    {"a", plain + "\nchecksum: {startingDeadline: 1s}", "spec.checksum.startingDeadline must be from 1m to 168h"},
		"no parallelism":                     {"a", plain + "\nchecksum: {parallelism: 0}", "spec.checksum.parallelism"},
		"an empty pattern":                   {"a", plain + "\nchecksum: {include: [\"\"]}", "spec.checksum.include"},
		"an unknown field":                   {"unknown", plain + "\nreplicas: 3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.pair(tc.name, tc.spec)
			if tc.says == "" {
				// Unknown fields are pruned, with a warning; kubectl refuses them by itself.
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

// A map has no order: the names of several options that are refused come in any.
func TestEveryOwnedOptionIsNamed(t *testing.T) {
	s := newScene(t)
	_, err := s.pair("a", plain+"\nmysql: {config: {read_only: true, max_connections: 200, port: 1}}")
	for _, says := range []string{"spec.mysql.config: ", "port", "read_only", ": owned by the operator"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

func TestDefaultsAreThoseOfTheDocs(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain)
	s.must(err)
	for what, ok := range map[string]bool{
		"mysql.image":                p.Spec.MySQL.Image == "mysql:9.7",
		"durability.mode":            p.Spec.Durability.Mode == v1alpha1.Lossless,
		"authority.leaseDuration":    p.Spec.Authority.LeaseDuration.Duration.String() == "6s",
		"failover.deadAfter":         p.Spec.Failover.DeadAfter.Duration.String() == "5s",
		"failover.async.proof":       p.Spec.Failover.Async.Proof == v1alpha1.AsyncProofTerminated,
		"services.passive.enabled":   p.Spec.Services.Passive.Enabled != nil && *p.Spec.Services.Passive.Enabled,
		"placement.hostAntiAffinity": p.Spec.Placement.HostAntiAffinity == v1alpha1.AntiAffinityRequired,
		"network.keepalive.probes":   p.Spec.Network.Keepalive.Probes == 3,
		"whenDeleted":                p.Spec.Storage.PersistentVolumeClaimRetentionPolicy.WhenDeleted == v1alpha1.RetainVolumes,
		"checksum.maxLockTime":       p.Spec.Checksum.MaxLockTime.Duration == 250*time.Millisecond,
		"checksum.maxLag":            p.Spec.Checksum.MaxLag.Duration == time.Second,
		"checksum.busyShare":         p.Spec.Checksum.BusyShare == 10,
		"checksum.parallelism":       p.Spec.Checksum.Parallelism == 2,
		"checksum.timeZone":          p.Spec.Checksum.TimeZone == "Etc/UTC" && p.Spec.Checksum.Schedule == "",
		"checksum.startingDeadline":  p.Spec.Checksum.StartingDeadline.Duration == time.Hour,
		"rejoin.quarantineRetention": p.Spec.Rejoin.QuarantineRetention.Time.Duration == 30*24*time.Hour &&
			p.Spec.Rejoin.QuarantineRetention.Size == "20%",
		"operationHistoryLimit": p.Spec.OperationHistoryLimit == 20,
	} {
		if !ok {
			t.Errorf("%s has another default: %+v", what, p.Spec)
		}
	}
}

func TestWhatCannotBeChanged(t *testing.T) {
	s := newScene(t)
	_, err := s.pair("shop", "storage: {size: 10Gi, storageClassName: fast}")
	s.must(err)
	for name, tc := range map[string]struct {
		change func(*v1alpha1.DatabasePair)
		says   string
	}{
		"a volume that shrinks": {func(p *v1alpha1.DatabasePair) { p.Spec.Storage.Size.Set(5 << 30) }, "cannot shrink"},
		"another class":         {func(p *v1alpha1.DatabasePair) { *p.Spec.Storage.StorageClassName = "slow" }, "storageClassName cannot be changed"},
		"no class":              {func(p *v1alpha1.DatabasePair) { p.Spec.Storage.StorageClassName = nil }, "storageClassName cannot be changed"},
		"another access mode":   {func(p *v1alpha1.DatabasePair) { p.Spec.Storage.AccessMode = "ReadWriteOncePod" }, "accessMode cannot be changed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.DatabasePair{}
			s.must(s.Get(s.ctx, s.key("shop"), p))
			base := p.DeepCopy()
			tc.change(p)
			// A patch, here and below: the operator writes status meanwhile.
			if err := s.Patch(s.ctx, p, client.MergeFrom(base), client.DryRunAll); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
	p := &v1alpha1.DatabasePair{}
	s.must(s.Get(s.ctx, s.key("shop"), p))
	base := p.DeepCopy()
	p.Spec.Storage.Size.Set(20 << 30)
	if err := s.Patch(s.ctx, p, client.MergeFrom(base), client.DryRunAll); err != nil {
		t.Errorf("a volume may not grow: %v", err)
	}
}

func TestOperationsAreRecords(t *testing.T) {
	s := newScene(t)
	operation := func(name string, spec v1alpha1.OperationSpec) *v1alpha1.DatabasePairOperation {
		spec.PairRef.Name = "none"
		return &v1alpha1.DatabasePairOperation{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.namespace}, Spec: spec}
	}
	for name, tc := range map[string]struct {
		spec v1alpha1.OperationSpec
		says string
	}{
		"an unknown verb":              {v1alpha1.OperationSpec{Type: "Dance"}, "spec.type"},
		"a promotion of nobody":        {v1alpha1.OperationSpec{Type: v1alpha1.OperationForcePromote, Confirm: "none/1"}, "spec.target is required"},
		"a promotion without a word":   {v1alpha1.OperationSpec{Type: v1alpha1.OperationForcePromote, Target: "none-0"}, "spec.confirm is required"},
		"a switchover from a backup":   {v1alpha1.OperationSpec{Type: v1alpha1.OperationSwitchover, From: v1alpha1.ReseedFromBackup}, "spec.from is for type Reseed only"},
		"a re-seed from elsewhere":     {v1alpha1.OperationSpec{Type: v1alpha1.OperationReseed, Target: "a-1", From: "Tape"}, "spec.from"},
		"a failover that discards":     {v1alpha1.OperationSpec{Type: v1alpha1.OperationFailover, DiscardUnapplied: true}, "spec.discardUnapplied is for type ForcePromote only"},
		"a confirmation without epoch": {v1alpha1.OperationSpec{Type: v1alpha1.OperationAdopt, Target: "none-0", Confirm: "yes"}, "spec.confirm"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Create(s.ctx, operation("x", tc.spec)); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
	op := operation("record", v1alpha1.OperationSpec{Type: v1alpha1.OperationForcePromote, Target: "none-0", Confirm: "none/3"})
	s.must(s.Create(s.ctx, op))
	base := op.DeepCopy()
	op.Spec.Confirm = "none/4"
	if err := s.Patch(s.ctx, op, client.MergeFrom(base)); err == nil || !strings.Contains(err.Error(), "make a new operation") {
		t.Errorf("a record was changed: %v", err)
	}
}

func TestATerminalPhaseNeverChanges(t *testing.T) {
	s := newScene(t)
	op := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{Name: "done", Namespace: s.namespace},
		Spec:       v1alpha1.OperationSpec{PairRef: v1alpha1.PairReference{Name: "none"}, Type: v1alpha1.OperationFailover},
	}
	s.must(s.Create(s.ctx, op))
	base := op.DeepCopy()
	op.Status.Phase = v1alpha1.OperationSucceeded
	s.must(s.Status().Patch(s.ctx, op, client.MergeFrom(base)))
	base = op.DeepCopy()
	op.Status.Phase = v1alpha1.OperationFailed
	if err := s.Status().Patch(s.ctx, op, client.MergeFrom(base)); err == nil || !strings.Contains(err.Error(), "never changes") {
		t.Errorf("a finished operation was changed: %v", err)
	}
}

// TestASizeThatTheVolumesWereNotGivenIsTakenBack: the storage class may refuse to grow them,
// and what was written by mistake must not stay for good.
func TestASizeThatTheVolumesWereNotGivenIsTakenBack(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", "storage: {size: 10Gi}")
	s.must(err)
	change := func(size string) error {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"storage":{"size":"`+size+`"}}}`))
		return s.Patch(s.ctx, p.DeepCopy(), patch, client.DryRunAll)
	}
	for size, refused := range map[string]bool{"4Gi": true, "5Gi": false, "7Gi": false} {
		s.eventually(size, func() error {
			// The operator writes what it sees, which is no volume.
			given := client.RawPatch(types.MergePatchType, []byte(`{"status":{"volumeSize":"5Gi"}}`))
			s.must(s.Status().Patch(s.ctx, p.DeepCopy(), given))
			err := change(size)
			if refused != (err != nil && strings.Contains(err.Error(), "spec.storage.size cannot shrink below the size of the volumes")) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		})
	}
}

// TestAVolumeForBinaryLogsIsChosenAtBirth: it is neither added nor removed, and grows like the other.
func TestAVolumeForBinaryLogsIsChosenAtBirth(t *testing.T) {
	s := newScene(t)
	without, err := s.pair("one", plain)
	s.must(err)
	with, err := s.pair("two", "storage: {size: 1Gi, binlog: {size: 5Gi, storageClassName: logs}}")
	s.must(err)
	for name, c := range map[string]struct {
		of    *v1alpha1.DatabasePair
		patch string
		says  string
	}{
		"added":         {without, `{"binlog":{"size":"5Gi"}}`, "spec.storage.binlog cannot be added or removed"},
		"removed":       {with, `{"binlog":null}`, "spec.storage.binlog cannot be added or removed"},
		"another class": {with, `{"binlog":{"storageClassName":"fast"}}`, "spec.storage.binlog.storageClassName cannot be changed"},
		"no class":      {with, `{"binlog":{"storageClassName":null}}`, "spec.storage.binlog.storageClassName cannot be changed"},
		"smaller":       {with, `{"binlog":{"size":"4Gi"}}`, "spec.storage.binlog.size cannot shrink"},
		"larger":        {with, `{"binlog":{"size":"6Gi"}}`, ""},
		"other things":  {without, `{"size":"30Gi"}`, ""},
	} {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"storage":`+c.patch+`}}`))
		err := s.Patch(s.ctx, c.of.DeepCopy(), patch, client.DryRunAll)
		if (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
	s.eventually("taken back", func() error {
		given := client.RawPatch(types.MergePatchType, []byte(`{"status":{"binlogVolumeSize":"3Gi"}}`))
		s.must(s.Status().Patch(s.ctx, with.DeepCopy(), given))
		return s.Patch(s.ctx, with.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"storage":{"binlog":{"size":"4Gi"}}}}`)), client.DryRunAll)
	})
}

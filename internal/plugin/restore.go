package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

const restoreLong = `Make a new pair that begins with a backup of PAIR, which goes on meanwhile or does not exist any more.

The new pair has the spec of PAIR, with spec.bootstrap.backup. It is read from the cluster or, when PAIR is gone, from a
manifest of it (-f), which is kept best as kubectl get dbp PAIR -o yaml printed it: with the UID. The Secrets and the volume
that the destination names have to be in the new pair's namespace. Accounts of the pair get new passwords, as in every new
pair; those that you made are as they were.

Where binary logs are archived, the new pair can have what PAIR had at a moment (--time, --gtid or --before-gtid), or all
that is archived (--time Latest). Without one of them it has the backup, and nothing later.

What the spec says of load balancers, DNS names and schedules counts for both pairs: look at the manifest with --dry-run, and
apply it by hand if something of that has to differ.`

// restoreRequest is what the caller of restore gave.
type restoreRequest struct {
	pair          string
	fromNamespace string
	uid           string
	as            string
	backupID      string
	target        v1alpha1.RestoreTarget
	identity      string
	file          string
	dryRun        bool
}

func (s *session) restoreCommand() *cobra.Command {
	var w restoreRequest
	cmd := &cobra.Command{
		Use:     "restore PAIR --as NEW",
		GroupID: "backups",
		Short:   "Make a new pair that begins with a backup of this one, or with what it had at a moment",
		Long:    restoreLong,
		Example: "  kubectl dbpair restore shop --as shop2\n" +
			"  kubectl dbpair restore shop --as shop2 --backup 20260102T030405Z-0a1b2c3d --dry-run\n" +
			"  kubectl dbpair restore shop --as shop2 --time Latest\n" +
			"  kubectl dbpair restore shop --as shop2 --time 2026-01-02T15:04:05+02:00\n" +
			"  kubectl dbpair restore shop --as shop2 --before-gtid 3e11fa47-71ca-11e1-9e33-c80aa9429562:77\n" +
			"  kubectl dbpair restore shop --as shop -f shop.yaml --identity backup-key/identity.txt",
		Args: onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			w.pair = args[0]
			return s.restore(cmd.Context(), c, w)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&w.as, "as", "", "name of the new pair")
	flags.StringVar(&w.backupID, "backup", v1alpha1.LatestBackup, "ID of the backup, as kubectl dbpair backups prints it")
	flags.StringVar(&w.target.Time, "time", "", "leave out what was committed after this time, which has an offset: "+
		"2026-01-02T15:04:05+02:00; Latest for all that is archived")
	flags.StringVar(&w.target.GTID, "gtid", "", "set of transactions to restore, with nothing that comes after the last of them")
	flags.StringVar(&w.target.BeforeGTID, "before-gtid", "", "transaction to leave out, with all that follow, such as that of a DROP TABLE")
	cmd.MarkFlagsMutuallyExclusive("time", "gtid", "before-gtid")
	flags.StringVar(&w.fromNamespace, "from-namespace", "", "namespace of PAIR, if it is not the new pair's")
	flags.StringVar(&w.uid, "uid", "", "UID of PAIR, if several pairs of its name have left backups and PAIR is gone")
	flags.StringVar(&w.identity, "identity", "", "SECRET/KEY of an age identity, for an encrypted backup")
	flags.StringVarP(&w.file, "filename", "f", "", "manifest of PAIR, if it does not exist any more; - for the standard input")
	flags.BoolVar(&w.dryRun, "dry-run", false, "print the manifest of the new pair and make nothing")
	return cmd
}

func (s *session) restore(ctx context.Context, c cluster, w restoreRequest) error {
	if w.as == "" {
		return errors.New("--as is missing: name the new pair; a pair that has data is never overwritten")
	}
	old, err := s.backedUp(ctx, c, w)
	if err != nil {
		return err
	}
	made, err := restoredPair(old, c.namespace, w)
	if err != nil {
		return err
	}
	if w.dryRun {
		return writeManifest(s.streams.Out, made)
	}
	err = c.client.Create(ctx, made)
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("there is a pair %s in namespace %s: a restore makes a new one, name another by --as", made.Name, made.Namespace)
	}
	if err != nil {
		return fmt.Errorf("make pair %s: %w", made.Name, err)
	}
	_, err = fmt.Fprintf(s.streams.Out, "databasepair.dbpair.io/%s created\n%sFollow it with: kubectl get dbp %s -n %s --watch\n",
		made.Name, unused(made.Spec), made.Name, made.Namespace)
	return err
}

// unused says that a restore leaves an archive out; empty when it does not, or there is none.
func unused(spec v1alpha1.DatabasePairSpec) string {
	if spec.Bootstrap.Backup.Target != nil || !spec.Backup.Binlog.Enabled {
		return ""
	}
	return "It has the backup alone. What is archived after that comes with --time Latest\n"
}

// backedUp is the pair whose backup is restored, from the cluster or from a manifest.
func (s *session) backedUp(ctx context.Context, c cluster, w restoreRequest) (*v1alpha1.DatabasePair, error) {
	if w.file == "" {
		if w.fromNamespace != "" {
			c.namespace = w.fromNamespace
		}
		p, err := c.pair(ctx, w.pair)
		if err != nil {
			return nil, fmt.Errorf("%w; of a pair that is gone, give the manifest by -f, or write spec.bootstrap.backup (docs/backup.md)", err)
		}
		return p, nil
	}
	in := s.streams.In
	if w.file != "-" {
		file, err := os.Open(w.file)
		if err != nil {
			return nil, fmt.Errorf("--filename: %w", err)
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("--filename: %w", err)
	}
	p := &v1alpha1.DatabasePair{}
	if err := yaml.UnmarshalStrict(text, p); err != nil {
		return nil, fmt.Errorf("--filename %s is no manifest of a DatabasePair: %w", w.file, err)
	}
	if p.Kind != "DatabasePair" || p.Name != w.pair {
		return nil, fmt.Errorf("--filename %s is of %s %q and not of DatabasePair %q", w.file, p.Kind, p.Name, w.pair)
	}
	if p.Namespace == "" || w.fromNamespace != "" {
		p.Namespace = w.fromNamespace
	}
	if p.Namespace == "" {
		p.Namespace = c.namespace
	}
	return p, nil
}

// restoredPair is a pair with the spec of the old one that begins with a backup of it.
func restoredPair(old *v1alpha1.DatabasePair, namespace string, w restoreRequest) (*v1alpha1.DatabasePair, error) {
	if old.Spec.Backup == nil {
		return nil, fmt.Errorf("pair %s has no spec.backup, so that nothing is known of its backups: write spec.bootstrap.backup of the "+
			"new pair by hand (docs/backup.md)", old.Name)
	}
	source := &v1alpha1.BackupSource{
		Destination: *old.Spec.Backup.Destination.DeepCopy(),
		Pair: v1alpha1.BackedUpPair{
			Namespace: old.Namespace,
			Name:      old.Name,
			UID:       string(old.UID),
		},
		BackupID: w.backupID,
	}
	if w.uid != "" {
		source.Pair.UID = w.uid
	}
	if w.target != (v1alpha1.RestoreTarget{}) {
		source.Target = &w.target
	}
	switch name, key, ok := strings.Cut(w.identity, "/"); {
	case w.identity == "" && old.Spec.Backup.Encryption != nil:
		return nil, errors.New("the backups are encrypted: name a Secret of the new pair's namespace with an identity of one of the " +
			"recipients in spec.backup.encryption, as in --identity backup-key/identity.txt")
	case w.identity == "":
	case !ok || name == "" || key == "":
		return nil, fmt.Errorf("--identity %q: write SECRET/KEY", w.identity)
	default:
		source.IdentitySecretRef = &v1alpha1.KeyReference{Name: name, Key: key}
	}
	made := &v1alpha1.DatabasePair{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "DatabasePair"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: w.as},
		Spec:       *old.Spec.DeepCopy(),
	}
	made.Spec.Bootstrap = &v1alpha1.BootstrapSpec{Backup: source}
	made.Spec.Paused = false
	made.Spec.Hibernate = false
	return made, nil
}

// writeManifest writes what of a pair a user gives.
func writeManifest(w io.Writer, p *v1alpha1.DatabasePair) error {
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": p.APIVersion,
		"kind":       p.Kind,
		"metadata":   map[string]string{"namespace": p.Namespace, "name": p.Name},
		"spec":       p.Spec,
	})
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// shell runs the client of the pod's own image. The password goes from a file of the pod
// into the client's environment: it is on no command line and never leaves the pod.
// The application may only log in with TLS, which a client does not use over a socket unless told to.
// $1 is the socket, $2 the file, $3 the account; what follows is the caller's.
const shell = `socket=$1 file=$2 account=$3; shift 3
MYSQL_PWD=$(cat "$file") || exit 1
export MYSQL_PWD
exec mysql --no-defaults --socket="$socket" --ssl-mode=REQUIRED --user="$account" "$@"`

// socketPath is where mysqld listens inside the pod.
const socketPath = agentapi.RunDir + "/mysqld.sock"

func (s *session) mysqlCommand() *cobra.Command {
	var passive, root bool
	var member string
	cmd := &cobra.Command{
		Use:     "mysql PAIR [-- ARGUMENT...]",
		GroupID: "look",
		Short:   "Open a MySQL client shell on the primary",
		Long: "Open a MySQL client shell in the primary's pod, as the application's account.\n" +
			"What follows -- goes to the client; standard input may be a file of statements.",
		Example: "  kubectl dbpair mysql shop\n  kubectl dbpair mysql shop --passive -- -e 'SELECT @@hostname'\n" +
			"  kubectl dbpair mysql shop < schema.sql",
		Args: func(cmd *cobra.Command, args []string) error {
			extra := len(args) > 1 && cmd.ArgsLenAtDash() != 1
			if len(args) == 0 || cmd.ArgsLenAtDash() == 0 || extra {
				return errors.New("name one pair; arguments for the client follow --, as in: kubectl dbpair mysql shop -- -e 'SELECT 1'")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			return s.mysql(cmd.Context(), c, args[0], shellWish{
				passive: passive,
				root:    root,
				member:  member,
				args:    args[1:],
			})
		},
	}
	cmd.Flags().BoolVar(&passive, "passive", false, "the passive, which is read-only, instead of the primary")
	cmd.Flags().StringVar(&member, "member", "", "this member, whatever its role, also while there is no primary")
	cmd.MarkFlagsMutuallyExclusive("member", "passive")
	cmd.Flags().BoolVar(&root, "root", false, "root instead of the application's account: its rights bypass read-only")
	return cmd
}

// shellWish is what kind of shell is asked for.
type shellWish struct {
	passive, root bool
	member        string
	args          []string
}

func (s *session) mysql(ctx context.Context, c cluster, name string, wish shellWish) error {
	p, err := c.pair(ctx, name)
	if err != nil {
		return err
	}
	member, err := memberFor(p, wish)
	if err != nil {
		return err
	}
	account := "root"
	file := agentapi.InternalDir + "/" + agentapi.PasswordFileRoot
	args := wish.args
	if !wish.root {
		config, err := c.agentConfig(ctx, name)
		if err != nil {
			return err
		}
		account = config.AppUser
		file = agentapi.InternalDir + "/" + agentapi.PasswordFileApp
		if config.AppSchema != "" {
			args = append([]string{"--database=" + config.AppSchema}, args...)
		}
	}
	argv := append([]string{"sh", "-c", shell, "sh", socketPath, file, account}, args...)
	return c.execer.run(ctx, podCommand{
		namespace:   c.namespace,
		pod:         member,
		argv:        argv,
		interactive: true,
	}, s.streams)
}

// memberFor picks the member that is named, or else the primary or the other one.
func memberFor(p *v1alpha1.DatabasePair, wish shellWish) (string, error) {
	members := pair.Members(p.Name)
	if wish.member != "" {
		if !slices.Contains(members[:], pair.MemberName(wish.member)) {
			return "", fmt.Errorf("pair %q has no member %q: name %s or %s", p.Name, wish.member, members[0], members[1])
		}
		return wish.member, nil
	}
	primary := p.Status.Primary
	if primary == "" {
		return "", fmt.Errorf("pair %q has no primary now: `kubectl dbpair status %s` says why; --member %s or %s leads to one all the same",
			p.Name, p.Name, members[0], members[1])
	}
	if wish.passive {
		return string(pair.PeerOf(members, pair.MemberName(primary))), nil
	}
	return primary, nil
}

// agentConfig reads the names of the application's account and schema, which are no
// secrets.
func (c cluster) agentConfig(ctx context.Context, name string) (agentapi.Config, error) {
	object := name + "-config"
	m := &corev1.ConfigMap{}
	err := c.client.Get(ctx, types.NamespacedName{Namespace: c.namespace, Name: object}, m)
	if apierrors.IsNotFound(err) {
		return agentapi.Config{}, fmt.Errorf("ConfigMap %s is not there yet: is the operator running?", object)
	}
	if err != nil {
		return agentapi.Config{}, fmt.Errorf("read ConfigMap %s: %w", object, err)
	}
	var config agentapi.Config
	if err := json.Unmarshal([]byte(m.Data[agentapi.ConfigFile]), &config); err != nil {
		return agentapi.Config{}, fmt.Errorf("read %s of ConfigMap %s: %w", agentapi.ConfigFile, object, err)
	}
	return config, nil
}

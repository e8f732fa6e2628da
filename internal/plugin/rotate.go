package plugin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

const rotateLong = `Ask the operator for new certificates or passwords. It works in phases, so that no client fails:

  --ca            Another certificate authority is published, and signs new certificates five minutes later. The former
                  one is no longer trusted once the pair has been healthy for a while and none of its certificates is
                  in use, about an hour later. Applications that verify the server have to read ca.crt again by then.
  --certificates  New certificates of members and Jobs, of the same authority.
  --passwords     New passwords of the pair's own accounts. The former ones stay valid until every member has the new.
                  The application's password is its owner's: change it in the Secret <pair>-app.`

func (s *session) rotateCommand() *cobra.Command {
	asked := map[string]*bool{}
	cmd := &cobra.Command{
		Use:     "rotate PAIR",
		GroupID: "act",
		Short:   "Replace the certificate authority, certificates or passwords of a pair",
		Long:    rotateLong,
		Example: "  kubectl dbpair rotate shop --ca\n  kubectl dbpair rotate shop --certificates --passwords",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one pair, as in: kubectl dbpair rotate shop --ca")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var annotations []string
			for _, a := range slices.Sorted(maps.Keys(asked)) {
				if *asked[a] {
					annotations = append(annotations, a)
				}
			}
			if len(annotations) == 0 {
				return errors.New("say what to replace: --ca, --certificates or --passwords")
			}
			c, err := s.connect()
			if err != nil {
				return err
			}
			return s.rotate(cmd.Context(), c, args[0], annotations)
		},
	}
	asked[v1alpha1.AnnotationRotateCA] = cmd.Flags().Bool("ca", false, "the certificate authority, and with it all certificates")
	asked[v1alpha1.AnnotationRotateCertificates] = cmd.Flags().Bool("certificates", false, "the certificates of members and Jobs")
	asked[v1alpha1.AnnotationRotatePasswords] = cmd.Flags().Bool("passwords", false, "the passwords of the pair's own accounts")
	return cmd
}

// rotate asks by annotations of the pair, which hold the time of the request.
func (s *session) rotate(ctx context.Context, c cluster, name string, annotations []string) error {
	p, err := c.pair(ctx, name)
	if err != nil {
		return err
	}
	base := p.DeepCopy()
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	for _, a := range annotations {
		p.Annotations[a] = time.Now().UTC().Format(time.RFC3339)
	}
	if err := c.client.Patch(ctx, p, client.MergeFrom(base)); err != nil {
		return fmt.Errorf("ask for a rotation of pair %s: %w", name, err)
	}
	_, err = fmt.Fprintf(s.streams.Out,
		"databasepair.dbpair.io/%s annotated\nFollow it with: kubectl events -n %s --for databasepair/%s --watch\n",
		p.Name, p.Namespace, p.Name)
	return err
}

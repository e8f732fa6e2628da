package cluster

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/resources"
)

// RouteManager owns selector and ports of the client Service.
const RouteManager = "dbpair-route"

// Services points the client Service of one pair. It implements execute.Services.
type Services struct {
	Client client.Client
	Name   types.NamespacedName
}

var _ execute.Services = Services{}

// Point implements execute.Services: one write of selector and port, conditional on the
// version that was observed.
func (s Services) Point(ctx context.Context, p failover.PointService) error {
	return s.change(ctx, p.Version, func(svc *corev1.Service) {
		resources.SetRoute(svc, resources.Route{
			Member: p.Member,
			Epoch:  p.Epoch,
			Mode:   resources.RouteMode(p.Leads),
		})
	})
}

// Detach implements execute.Services.
func (s Services) Detach(ctx context.Context, d failover.DetachService) error {
	if err := s.change(ctx, d.Version, func(svc *corev1.Service) { resources.Detach(svc, d.From.PodUID) }); err != nil {
		return err
	}
	awaitSeen(ctx, func(ctx context.Context) (bool, error) {
		svc := &corev1.Service{}
		err := s.Client.Get(ctx, s.Name, svc)
		return svc.ResourceVersion != d.Version, err
	})
	return nil
}

func (s Services) change(ctx context.Context, version string, f func(*corev1.Service)) error {
	svc := &corev1.Service{}
	if err := s.Client.Get(ctx, s.Name, svc); err != nil {
		return fmt.Errorf("read Service %s: %w", s.Name, err)
	}
	if svc.ResourceVersion != version {
		return fmt.Errorf("service %s is at version %s, observed was %s: %w", s.Name, svc.ResourceVersion, version, execute.ErrConflict)
	}
	svc = svc.DeepCopy()
	f(svc)
	err := s.Client.Update(ctx, svc, client.FieldOwner(RouteManager))
	if apierrors.IsConflict(err) {
		return fmt.Errorf("service %s has changed: %w", s.Name, execute.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("write Service %s: %w", s.Name, err)
	}
	return nil
}

// ObserveService is the client Service as Decide wants it.
func ObserveService(svc *corev1.Service) failover.Service {
	out := failover.Service{
		Reading:   failover.Read,
		Version:   svc.ResourceVersion,
		Epoch:     -1,
		Detached:  resources.DetachedFrom(svc),
		CreatedAt: svc.CreationTimestamp.Time,
	}
	r, ok := resources.RouteOf(svc)
	if !ok {
		return out
	}
	out.Leads, out.PortLeads, out.Member = failover.Door(r.Mode), failover.Door(r.Mode), r.Member
	if r.Mode == resources.RouteOpen {
		out.Epoch = r.Epoch
	}
	return out
}

func secondsOf(n int64) time.Duration { return time.Duration(n) * time.Second }

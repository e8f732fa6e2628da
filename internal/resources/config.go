package resources

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/pair"
)

// appName is what the application's account and its schema are called if the spec says nothing.
const appName = "app"

// AppUserOf is the application's account.
func AppUserOf(p *v1alpha1.DatabasePair) string { return cmp.Or(p.Spec.Application.User, appName) }

// AppSchemaOf is the schema of the application's account.
func AppSchemaOf(p *v1alpha1.DatabasePair) string {
	return cmp.Or(p.Spec.Application.Database, appName)
}

// AgentConfig is the configuration of the pair's agents.
func AgentConfig(p *v1alpha1.DatabasePair) agentapi.Config {
	spec := &p.Spec
	c := agentapi.Config{
		PairName:            p.Name,
		PairUID:             pair.UID(p.UID),
		Namespace:           p.Namespace,
		Domain:              NamesOf(p).Domain(),
		LeaseDuration:       spec.Authority.LeaseDuration.Duration,
		SafetyMargin:        spec.Authority.SafetyMargin.Duration,
		HeartbeatInterval:   spec.Failover.HeartbeatInterval.Duration,
		DeadAfter:           spec.Failover.DeadAfter.Duration,
		ApplyTimeout:        spec.Failover.ApplyTimeout.Duration,
		RestartInPlaceAfter: spec.Failover.RestartInPlaceAfter.Duration,
		Lossless:            spec.Durability.Mode != v1alpha1.Async,
		PassiveTimeout:      spec.Durability.PassiveTimeout.Duration,
		BinlogRetention:     spec.MySQL.BinlogRetention.Duration,
		BinlogMaxSize:       spec.MySQL.BinlogMaxSize,
		QuarantineTime:      spec.Rejoin.QuarantineRetention.Time.Duration,
		QuarantineSize:      spec.Rejoin.QuarantineRetention.Size,
		MaxBandwidth:        spec.Rejoin.MaxBandwidth,
		MaxLockTime:         spec.Checksum.MaxLockTime.Duration,
		OnRoleChange:        string(spec.Services.Primary.OnRoleChange),
		HoldTimeout:         spec.Services.Primary.HoldTimeout.Duration,
		MaxHeld:             int(spec.Services.Primary.MaxHeld),
		PassiveMaxLag:       spec.Services.Passive.MaxLag.Duration,
		RefuseWithReset:     spec.Services.Primary.OnRoleChange == v1alpha1.OnRoleChangeReset,
		AppUser:             AppUserOf(p),
		AppSchema:           AppSchemaOf(p),
		AppPasswordOverlap:  spec.Application.PasswordOverlap.Duration,
		AppWithoutTLS:       spec.Services.Primary.TLS == v1alpha1.TLSPreferred,
	}
	if passive := spec.Services.Passive.Enabled; passive != nil {
		c.WithoutReaders = !*passive
	}
	if ArchiveWanted(p) {
		c.BinlogBacklog = spec.Backup.Binlog.MaxBacklog
	}
	if len(spec.MySQL.Config) > 0 {
		c.MySQL = make(map[string]string, len(spec.MySQL.Config))
		for k, v := range spec.MySQL.Config {
			c.MySQL[k] = string(v)
		}
	}
	for _, name := range spec.MySQL.Components {
		if name = mycnf.ComponentName(name); !slices.Contains(c.Components, name) {
			c.Components = append(c.Components, name)
		}
	}
	c.Plugins = slices.Clone(spec.MySQL.Plugins)
	return c
}

// AgentConfigMap carries a configuration to the agents.
func AgentConfigMap(p *v1alpha1.DatabasePair, config agentapi.Config) (*corev1ac.ConfigMapApplyConfiguration, error) {
	body, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("render the agents' configuration of pair %s: %w", p.Name, err)
	}
	return corev1ac.ConfigMap(NamesOf(p).Config(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithData(map[string]string{agentapi.ConfigFile: string(body) + "\n"}), nil
}

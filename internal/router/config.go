package router

import (
	"fmt"
	"strings"
	"text/template"
	"time"
)

// Config is what one configuration depends on. All fields but FallbackToPrimary are required.
type Config struct {
	// Pair and Namespace name the pair, for the comment at the top.
	Pair, Namespace string
	// Bind is the address that HAProxy listens on. It may name environment variables: ${POD_IP}.
	Bind string
	// Ports are those that HAProxy listens on.
	Ports Ports
	// Members are the two members of the pair.
	Members [2]Member
	// Service is host:port of the pair's own Service, for clients that come while no member says that
	// it is the primary. It leads to a member's door then.
	Service string
	// CAFile has the certificates that the members' are verified with.
	CAFile string
	// MaxConnections is how many clients each of the two ports takes at once.
	MaxConnections int
	// Keepalive finds clients and members that vanished without closing their connections.
	Keepalive Keepalive
	// FallbackToPrimary leads readers to the primary while no passive is fit.
	FallbackToPrimary bool
}

// Ports are those of HAProxy.
type Ports struct {
	ReadWrite, ReadOnly int
	// Health has /healthz and /metrics, over plain HTTP.
	Health int
}

// Member is a member of the pair as HAProxy reaches it.
type Member struct {
	Name string
	// Host is an address that stays when the member's pod is made again: HAProxy resolves names once,
	// at its start.
	Host string
	// MySQL is mysqld's port, and Role that of the agent's listener for routers.
	MySQL, Role int
	// Certificate is the name that the agent's certificate has to have.
	Certificate string
}

// Keepalive is TCP keepalive toward clients and members. Idle and Interval count in whole seconds.
type Keepalive struct {
	Idle, Interval time.Duration
	Probes         int
}

// limit is how long data or probes may stay unanswered before a connection is given up.
func (k Keepalive) limit() time.Duration { return k.Idle + time.Duration(k.Probes)*k.Interval }

// Times of HAProxy. A pod that ends goes on with its sessions until StopAfter, and takes new clients
// for as long as the nodes need to learn that it ends.
const (
	// StopAfter is when a HAProxy that was asked to end cuts the sessions that are left.
	StopAfter = 50 * time.Second
	stopGrace = 5 * time.Second
	// idleLimit ends a session without traffic. mysqld's wait_timeout, 8 hours by default, comes before it.
	idleLimit = 7 * 24 * time.Hour
)

// Render returns the text of haproxy.cfg. The same configuration gives the same text.
func Render(c Config) (string, error) {
	var out strings.Builder
	err := configuration.Execute(&out, map[string]any{
		"Config":    c,
		"StopAfter": seconds(StopAfter),
		"StopGrace": seconds(stopGrace),
		"IdleLimit": seconds(idleLimit),
		"Idle":      seconds(c.Keepalive.Idle),
		"Interval":  seconds(c.Keepalive.Interval),
		"Unheard":   seconds(c.Keepalive.limit()),
		"All":       2*c.MaxConnections + healthConnections,
		"Health":    healthConnections,
	})
	if err != nil {
		return "", fmt.Errorf("render the router's configuration of pair %s/%s: %w", c.Namespace, c.Pair, err)
	}
	return out.String(), nil
}

// healthConnections is how many connections the port for probes and metrics takes at once.
const healthConnections = 20

func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int64(d/time.Second)) }

var configuration = template.Must(template.New("haproxy.cfg").Parse(
	`# Router of the pair {{.Config.Namespace}}/{{.Config.Pair}}. Written by dbpair, which undoes changes.
global
    log stdout format raw local0 notice
    maxconn {{.All}}
    nbthread 2
    grace {{.StopGrace}}
    hard-stop-after {{.StopAfter}}

defaults
    mode tcp
    log global
    timeout connect 3s
    timeout check 2s
    timeout client {{.IdleLimit}}
    timeout server {{.IdleLimit}}
    retries 2
    option redispatch 1
    # Clients and members that vanish without closing their connections.
    option clitcpka
    clitcpka-idle {{.Idle}}
    clitcpka-intvl {{.Interval}}
    clitcpka-cnt {{.Config.Keepalive.Probes}}
    option srvtcpka
    srvtcpka-idle {{.Idle}}
    srvtcpka-intvl {{.Interval}}
    srvtcpka-cnt {{.Config.Keepalive.Probes}}
    # The members' agents are asked over TLS. What they affirm no longer is cut at once. A question without
    # an answer is asked three times, as one packet may be lost.
    default-server inter 500ms fastinter 100ms downinter 250ms fall 3 rise 1
    default-server check-ssl ssl-min-ver TLSv1.3 verify required ca-file {{.Config.CAFile}}
    default-server on-marked-down shutdown-sessions tcp-ut {{.Unheard}}

frontend read-write
    bind "{{.Config.Bind}}:{{.Config.Ports.ReadWrite}}" tcp-ut {{.Unheard}}
    maxconn {{.Config.MaxConnections}}
    default_backend primary

frontend read-only
    bind "{{.Config.Bind}}:{{.Config.Ports.ReadOnly}}" tcp-ut {{.Unheard}}
    maxconn {{.Config.MaxConnections}}
{{- if .Config.FallbackToPrimary}}
    use_backend primary if { nbsrv(passive) eq 0 }
{{- end}}
    default_backend passive

# 404 is the answer of a primary that keeps its sessions and takes no new ones.
backend primary
    option httpchk GET /primary
    http-check disable-on-404
{{- range .Config.Members}}
    server {{.Name}} {{.Host}}:{{.MySQL}} check port {{.Role}} check-sni {{.Certificate}} verifyhost {{.Certificate}}
{{- end}}
    # While no member is the primary: the pair's Service, which leads to the door of a member.
    server service {{.Config.Service}} backup

# Readers leave a member that is about to be the primary as soon as it says so.
backend passive
    option httpchk GET /passive
    default-server inter 250ms fastinter 50ms fall 2
{{- range .Config.Members}}
    server {{.Name}} {{.Host}}:{{.MySQL}} check port {{.Role}} check-sni {{.Certificate}} verifyhost {{.Certificate}}
{{- end}}

frontend health
    mode http
    bind "{{.Config.Bind}}:{{.Config.Ports.Health}}"
    maxconn {{.Health}}
    timeout client 5s
    timeout http-request 5s
    monitor-uri /healthz
    http-request use-service prometheus-exporter if { path /metrics }
    http-request return status 404
`))

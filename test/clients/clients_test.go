package clients

import (
	"testing"

	"github.com/dbpair/dbpair/internal/resources"
	clientprograms "github.com/dbpair/dbpair/test/clients/programs"
)

// TestClientsConnectWithTheSecretAlone: each client takes what the Secret has for it, with
// a password that has to be quoted, writes and reads. The same client with the strings of
// another CA, or of a pair that the server's certificate does not name, is not connected.
func TestClientsConnectWithTheSecretAlone(t *testing.T) {
	requireRootfs(t)
	s := newService(t)
	secret := mountSecret(t, "shop", hostilePassword, s.ca)
	otherCA := mountSecret(t, "shop", hostilePassword, newCA(t))
	otherName := mountSecret(t, "other", hostilePassword, s.ca)
	otherPassword := mountSecret(t, "shop", "Password1234", s.ca)
	clients := programs(t, s.hosts())
	clients = append(clients, program{
		Command: clientprograms.Command{
			Name: "Go, CA from SSL_CERT_DIR",
			Argv: clients[0].Argv,
			Env:  []string{goClientVariable + "=" + environmentCA, "SSL_CERT_DIR=" + resources.AppDir},
		},
		root: clients[0].root,
	})
	for _, client := range clients {
		t.Run(client.Name, func(t *testing.T) {
			session, connected := client.start(t, secret)
			if !connected.OK {
				t.Fatalf("not connected: %+v", connected)
			}
			text := "für " + client.Name
			if got := session.ask("INSERT INTO letters (text) VALUES ('" + text + "')"); !got.OK {
				t.Errorf("insert: %+v", got)
			}
			if got := session.ask("COMMIT"); !got.OK {
				t.Errorf("commit: %+v", got)
			}
			if got := session.ask("SELECT text FROM letters ORDER BY id DESC LIMIT 1"); got.Value != text {
				t.Errorf("read %+v, want %q", got, text)
			}
			for name, wrong := range map[string]string{"CA": otherCA, "name": otherName} {
				_, got := client.start(t, wrong)
				if got.OK || got.Code == "1045" {
					t.Errorf("with another %s it trusts the server: %+v", name, got)
				}
				t.Logf("with another %s: %+v", name, got)
			}
			// A server that it does not trust would not come to see the password.
			if _, got := client.start(t, otherPassword); got.Code != "1045" {
				t.Errorf("with another password: %+v, want 1045", got)
			}
		})
	}
}

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/cmd/backup/internal/archive/source"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/drill"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// restore serves the backup and the archive until the other container has restored them, or cannot.
func (d *restoreDrill) restore(ctx context.Context, recorded *backup.Source, replay source.Source) error {
	m := recorded.Manifest()
	plan := drill.Plan{
		User:       jobapi.VaultUser,
		Bytes:      m.Raw,
		GTIDBefore: m.GTIDBefore,
		GTIDAfter:  m.GTIDAfter,
	}
	var err error
	if plan.Port, err = portOf(d.listen); err != nil {
		return err
	}
	if replay.Archive != nil {
		if plan.ReplayPort, err = portOf(d.replayOn); err != nil {
			return err
		}
	}
	if err := d.writeCredentials(); err != nil {
		return err
	}
	serving, end := context.WithCancel(ctx)
	defer end()
	served := make(chan struct{})
	var serveError error
	go func() {
		defer close(served)
		v := vault{
			request:  jobapi.VaultRequest{Store: d.request.Store},
			files:    string(d.shared),
			listen:   d.listen,
			replayOn: d.replayOn,
			log:      d.log,
		}
		serveError = v.both(serving, recorded, replay)
	}()
	if err := d.shared.Begin(plan); err != nil {
		return err
	}
	err = d.follow(ctx, served)
	select {
	case <-served: // what cannot be served is why it was not restored
		if serveError != nil {
			err = serveError
		}
	default:
		end()
		<-served
	}
	return err
}

func portOf(address string) (int, error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// writeCredentials makes what the other container logs in with, and verifies by.
func (d *restoreDrill) writeCredentials() error {
	certificate, key, err := selfSigned(d.now())
	if err != nil {
		return fmt.Errorf("make a certificate for loopback: %w", err)
	}
	for name, text := range map[string][]byte{
		drill.PasswordFile: []byte(rand.Text()),
		drill.CAFile:       certificate,
		drill.CertFile:     certificate,
		drill.KeyFile:      key,
	} {
		if err := d.shared.Write(name, text); err != nil {
			return err
		}
	}
	return nil
}

// selfSigned is a certificate for loopback that is its own authority, in PEM. It lasts longer than any drill.
func selfSigned(now time.Time) (certificate, key []byte, err error) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: "dbpair-restore-drill"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(90 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		return nil, nil, err
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), nil
}

// follow waits until the other container has come to its end, or nothing is served any more.
func (d *restoreDrill) follow(ctx context.Context, served <-chan struct{}) error {
	ticker := time.NewTicker(followPulse)
	defer ticker.Stop()
	var beat int64
	heard := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-served:
			return errors.New("the backup is not served any more")
		case <-ticker.C:
		}
		said, found, err := d.shared.Report()
		if err != nil {
			return err
		}
		if !found {
			d.say("waits for the container of mysqld")
			heard = time.Now()
			continue
		}
		if said.Beat != beat {
			beat = said.Beat
			heard = time.Now()
		}
		d.take(said)
		if said.Ended {
			return d.ended(said, served)
		}
		if time.Since(heard) > silence {
			return fmt.Errorf("the container of mysqld has said nothing for %s", silence)
		}
	}
}

// take notes what the other container says.
func (d *restoreDrill) take(said drill.Report) {
	d.step = string(said.Step)
	note := "step " + d.step
	if said.Note != "" {
		note += ": " + said.Note
	}
	d.say(note)
	f := &d.found
	f.GTIDs = said.Found.Copied
	f.Reached = said.Found.Reached
	f.Tables = int64(said.Found.Tables)
	f.RestoreTime = &metav1.Duration{Duration: said.Found.RestoreTime()}
	f.CopyTime = tookOf(said.Found, drill.StepCopy)
	f.CheckTime = tookOf(said.Found, drill.StepCheck)
	f.ReplayTime = tookOf(said.Found, drill.StepReplay)
}

// tookOf is the time of a step; nil for one that was not done.
func tookOf(f drill.Found, step drill.Step) *metav1.Duration {
	took, done := f.Took[step]
	if !done {
		return nil
	}
	return &metav1.Duration{Duration: took}
}

// ended is how the other container came to its end. What is served ends a moment after a damaged object was found.
func (d *restoreDrill) ended(said drill.Report, served <-chan struct{}) error {
	if said.Error == "" {
		return nil
	}
	select {
	case <-served:
	case <-time.After(2 * answerFirst):
	}
	err := errors.New(said.Error)
	switch {
	case said.NoRoom:
		return &endedFor{problem: v1alpha1.RestoreDrillNoRoom, err: err}
	case said.ForGood:
		return &endedFor{err: err}
	}
	return err
}

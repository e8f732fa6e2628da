package clonewire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// made returns a recording of one file, as a mysqld could have sent it.
func made(tb testing.TB, blocks int) *recording {
	tb.Helper()
	r := newRecording(tb)
	text := func(texts ...string) (body []byte) {
		for _, text := range texts {
			body = append(body, byte(len(text)), 0, 0, 0)
			body = append(body, text...)
		}
		return body
	}
	r.opening = []Answer{
		{Code: AnswerPluginLibrary, Body: text("clone", "mysql_clone.so")},
		{Code: AnswerSetting, Body: text("version", "9.7.4")},
		{Code: AnswerLocators, Body: Locators{Version: protocolVersion, Engines: []Locator{{Engine: 12, Value: []byte("snapshot")}}}.encode()},
	}
	keep := func(stage Stage, stream int, answer Answer) {
		if err := r.Record(tb.Context(), Place{Stage: stage, Stream: stream}, answer); err != nil {
			tb.Fatal(err)
		}
	}
	describe := func(raw []byte) Answer { return Answer{Code: AnswerDescriptor, Body: append([]byte{12, 0}, raw...)} }
	keep(StageFile, 0, describe(State{Stage: stageInit}.raw()))
	for _, stage := range Stages() {
		keep(stage, 0, describe(State{Stage: stage, Flags: StateStart}.raw()))
		for block := range blocks {
			data := bytes.Repeat([]byte{byte(block)}, 1000+block)
			keep(stage, 0, describe(Data{Stage: stage, Length: uint32(len(data))}.raw()))
			keep(stage, 0, Answer{Code: AnswerData, Body: data})
		}
		keep(stage, 1, describe(State{Stage: stage}.raw()))
	}
	return r
}

// loopback serves a recording on loopback and returns a client of it.
func loopback(tb testing.TB, source Source) (Client, func() []error) {
	tb.Helper()
	dir := tb.TempDir()
	if err := mysqldtest.WriteCerts(dir); err != nil {
		tb.Fatal(err)
	}
	files := mysqlops.TLSFiles{
		CA:   dir + "/ca.crt",
		Cert: dir + "/tls.crt",
		Key:  dir + "/tls.key",
	}
	port, stop := serve(tb, source, files)
	return Client{
		Address:  fmt.Sprintf("127.0.0.1:%d", port),
		User:     mysqlops.UserClone,
		Password: mysqldtest.Passwords.Clone.Reveal(),
		TLS:      tlsOf(tb, files),
	}, stop
}

func contents(tb testing.TB, source Source) (answers []Answer) {
	tb.Helper()
	answers, err := source.Opening(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	answers = append([]Answer{}, answers...)
	for _, stage := range Stages() {
		for answer, err := range source.Stage(tb.Context(), stage) {
			if err != nil {
				tb.Fatal(err)
			}
			answers = append(answers, Answer{Code: answer.Code, Body: bytes.Clone(answer.Body)})
		}
	}
	return answers
}

func TestTheClientRecordsWhatTheDonorServes(t *testing.T) {
	source := made(t, 20)
	client, stop := loopback(t, source)
	for range 2 { // a recording is served as often as it is asked for
		copied := newRecording(t)
		if err := client.Clone(t.Context(), copied); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(contents(t, source), contents(t, copied)); diff != "" || !copied.whole {
			t.Errorf("whole %t (-served +recorded):\n%s", copied.whole, diff)
		}
	}
	if served := stop(); len(served) != 2 || errors.Join(served...) != nil {
		t.Errorf("served %v, want two clones without an error", served)
	}
}

func TestOneCloneIsServedAtATime(t *testing.T) {
	client, stop := loopback(t, made(t, 20))
	inner := errors.New("not tried")
	outer := newRecording(t)
	outer.at = func(records int) {
		if records == 5 {
			inner = client.Clone(t.Context(), newRecording(t))
		}
	}
	if err := client.Clone(t.Context(), outer); err != nil {
		t.Fatal(err)
	}
	var busy *DonorError
	if !errors.As(inner, &busy) || busy.Number != errTooManyClones {
		t.Errorf("the second recipient gets %v, want error %d", inner, errTooManyClones)
	}
	stop()
}

func TestHalfARecordingIsNotServed(t *testing.T) {
	client, stop := loopback(t, cutSource{made(t, 3)})
	r := newRecording(t)
	var refused *DonorError
	if err := client.Clone(t.Context(), r); !errors.As(err, &refused) || r.whole {
		t.Errorf("clone: %v, whole %t", err, r.whole)
	}
	if served := stop(); len(served) != 1 || !errors.Is(served[0], ErrIncomplete) {
		t.Errorf("served %v, want ErrIncomplete", served)
	}
}

func TestTheDonorIsFreeAfterARecipientThatGoesAway(t *testing.T) {
	client, stop := loopback(t, made(t, 20))
	ctx, cancel := context.WithCancel(t.Context())
	r := newRecording(t)
	r.at = func(records int) {
		if records == 5 {
			cancel()
		}
	}
	if err := client.Clone(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("clone: %v, want the end of the context", err)
	}
	mysqldtest.Await(t, "another clone", func() bool {
		return client.Clone(t.Context(), newRecording(t)) == nil
	})
	if served := stop(); served[0] == nil {
		t.Errorf("served %v, want an error of the first", served)
	}
}

func TestTheDonorLetsNobodyElseIn(t *testing.T) {
	good, stop := loopback(t, made(t, 1))
	for name, change := range map[string]func(*Client){
		"wrong password":         func(c *Client) { c.Password = "wrong" },
		"no password":            func(c *Client) { c.Password = "" },
		"another user":           func(c *Client) { c.User = "root" },
		"no certificate":         func(c *Client) { c.TLS.Certificates = nil },
		"does not trust the CA":  func(c *Client) { c.TLS.RootCAs = nil },
		"another name of server": func(c *Client) { c.TLS.ServerName = "elsewhere" },
	} {
		client := good
		client.TLS = good.TLS.Clone()
		change(&client)
		r := newRecording(t)
		if err := client.Clone(t.Context(), r); err == nil || r.opening != nil {
			t.Errorf("%s: %v, %d answers", name, err, len(r.opening))
		}
	}
	if served := stop(); len(served) != 0 {
		t.Errorf("served %v", served)
	}
}

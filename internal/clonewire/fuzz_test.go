package clonewire

import (
	"bytes"
	"testing"
)

// FuzzReadMessage: no bytes from the network make more of a message than the limit, and
// what is read comes back when it is written.
func FuzzReadMessage(f *testing.F) {
	f.Add([]byte{3, 0, 0, 0, 'a', 'b', 'c'}, 10)
	f.Add([]byte{0xff, 0xff, 0xff, 0}, 1<<20)
	f.Add([]byte{0, 0, 0, 1}, 0)
	f.Fuzz(func(t *testing.T, wire []byte, limit int) {
		if limit < 0 || limit > 1<<22 {
			return
		}
		got, err := readMessage(bytes.NewReader(wire), 0, nil, limit)
		if err != nil {
			return
		}
		if len(got) > limit {
			t.Errorf("%d bytes above the limit %d", len(got), limit)
		}
		if again := message(t, 0, got); !bytes.HasPrefix(wire, again) {
			t.Errorf("% x comes back as % x", wire, again)
		}
	})
}

// FuzzParse: whatever a peer sends in a message of the protocol, it is read whole, so that it
// comes back, or refused.
func FuzzParse(f *testing.F) {
	locators := []Locator{{Engine: 12, Value: []byte("snapshot")}}
	state := State{Stage: StageFile, Flags: StateStart}.raw()
	f.Add(opening{version: 0x0102, locators: locators}.encode())
	f.Add(ack{locator: locators[0], descriptor: state}.encode())
	f.Add(Locators{Version: 0x0102, Engines: locators}.encode())
	f.Add(append([]byte{12, 0}, state...))
	f.Add((&DonorError{Number: 1, Message: "x"}).encode())
	f.Add([]byte{5, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, body []byte) {
		same := func(what string, again []byte, err error) {
			if err == nil && !bytes.Equal(again, body) {
				t.Errorf("%s: % x comes back as % x", what, body, again)
			}
		}
		opened, err := parseOpening(body)
		same("opening", opened.encode(), err)
		acked, err := parseAck(body)
		same("ack", acked.encode(), err)
		located, err := ParseLocators(body)
		same("locators", located.encode(), err)
		if described, err := ParseDescriptor(body); err == nil && described.Kind == DescriptorState {
			again := append([]byte{described.Engine, described.Locator}, described.State.raw()...)
			same("state", again, nil)
		}
		if _, err := parseAnswer(body); err == nil {
			_, _ = Answer{Body: body}.Strings()
		}
		_, _, _ = splitCommand(body)
		_ = parseDonorError(body)
	})
}

// FuzzReadAnswer: a damaged object of a recording is refused, and never takes more memory than
// the limit.
func FuzzReadAnswer(f *testing.F) {
	var stored bytes.Buffer
	if err := WriteAnswer(&stored, Answer{Code: AnswerData, Body: []byte("page")}); err != nil {
		f.Fatal(err)
	}
	f.Add(stored.Bytes(), 10)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 3}, 1<<20)
	f.Fuzz(func(t *testing.T, stored []byte, limit int) {
		if limit > 1<<22 {
			return
		}
		answer, err := ReadAnswer(bytes.NewReader(stored), nil, limit)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteAnswer(&again, answer); err != nil {
			t.Fatal(err)
		}
		if len(answer.Body) > limit || !bytes.HasPrefix(stored, again.Bytes()) {
			t.Errorf("% x comes back as % x under the limit %d", stored, again.Bytes(), limit)
		}
	})
}

package clonewire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// message is a message as it is on the wire.
func message(tb testing.TB, first int, parts ...[]byte) []byte {
	tb.Helper()
	var wire bytes.Buffer
	if err := writeMessage(&wire, first, parts...); err != nil {
		tb.Fatal(err)
	}
	return wire.Bytes()
}

func TestMessagesOfEveryLengthComeBack(t *testing.T) {
	for _, length := range []int{0, 1, readStep, readStep + 1, fullPacket - 1, fullPacket, fullPacket + 1, 2*fullPacket + 5} {
		content := bytes.Repeat([]byte("clone"), length/5+1)[:length]
		cut := length / 3
		wire := message(t, 3, content[:cut], nil, content[cut:])
		got, err := readMessage(bytes.NewReader(wire), 3, nil, length)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes come back as %d, %v", length, len(got), err)
		}
		if length == 0 {
			continue
		}
		if _, err := readMessage(bytes.NewReader(wire), 3, nil, length-1); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes under a lower limit: %v", length, err)
		}
		if _, err := readMessage(bytes.NewReader(wire[:len(wire)-1]), 3, nil, length); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes without the last: %v", length, err)
		}
	}
}

func TestAMessageOutOfSequenceIsRefused(t *testing.T) {
	if _, err := readMessage(bytes.NewReader(message(t, 1, []byte("x"))), 0, nil, 10); !errors.Is(err, ErrSequence) {
		t.Errorf("read %v, want ErrSequence", err)
	}
}

// What a packet's header promises is not allocated before it arrives.
func TestALengthAloneAllocatesLittle(t *testing.T) {
	wire := []byte{0xfe, 0xff, 0xff, 0, 'x'}
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if _, err := readMessage(bytes.NewReader(wire), 0, nil, 1<<30); !errors.Is(err, io.ErrUnexpectedEOF) {
				b.Fatal(err)
			}
		}
	})
	if got := result.AllocedBytesPerOp(); got > 2*readStep {
		t.Errorf("%d bytes allocated for one that arrived", got)
	}
}

func TestCommandsComeBack(t *testing.T) {
	locators := []Locator{{Engine: 12, Value: []byte("snapshot")}, {Engine: 0, Value: []byte{}}}
	for _, want := range []opening{
		{version: 0x0102, ddlTimeout: 300, backupLock: true},
		{version: 0x0103, ddlTimeout: 0, locators: locators},
	} {
		got, err := parseOpening(want.encode())
		if err != nil || cmp.Diff(want, got, cmp.AllowUnexported(opening{})) != "" {
			t.Errorf("opening %+v comes back as %+v, %v", want, got, err)
		}
	}
	want := ack{
		failure:    3862,
		locator:    locators[0],
		descriptor: State{Stage: StagePage, Flags: StateAck}.raw(),
	}
	got, err := parseAck(want.encode())
	if err != nil || cmp.Diff(want, got, cmp.AllowUnexported(ack{})) != "" {
		t.Errorf("ack %+v comes back as %+v, %v", want, got, err)
	}
}

func TestStateComesBack(t *testing.T) {
	want := State{
		Stage:        StageRedo,
		Task:         1,
		Chunks:       2,
		Files:        3,
		Estimate:     1 << 40,
		DiskEstimate: 1 << 41,
		Flags:        StateStart,
	}
	got, err := ParseDescriptor(append([]byte{12, 0}, want.raw()...))
	if err != nil || got.State != want || got.Kind != DescriptorState || got.Engine != 12 {
		t.Errorf("state %+v comes back as %+v, %v", want, got, err)
	}
}

func TestDonorErrorComesBack(t *testing.T) {
	var got *DonorError
	want := DonorError{
		Number:  3634,
		Message: "one clone is running",
	}
	if err := parseDonorError(want.encode()); !errors.As(err, &got) || *got != want {
		t.Errorf("%+v comes back as %v", want, err)
	}
}

func TestStoredAnswersComeBack(t *testing.T) {
	answers := []Answer{
		{Code: AnswerLocators, Body: []byte{2, 1, 0, 0}},
		{Code: AnswerDescriptor, Body: []byte("descriptor")},
		{Code: AnswerData, Body: bytes.Repeat([]byte{7}, 3*readStep)},
		{Code: AnswerData, Body: []byte{}},
	}
	var stored bytes.Buffer
	size := 0
	for _, answer := range answers {
		if err := WriteAnswer(&stored, answer); err != nil {
			t.Fatal(err)
		}
		size += StoredSize(answer)
	}
	if stored.Len() != size {
		t.Errorf("%d bytes are stored, StoredSize says %d", stored.Len(), size)
	}
	whole := bytes.Clone(stored.Bytes())
	var buffer []byte
	for _, want := range answers {
		got, err := ReadAnswer(&stored, buffer, 3*readStep)
		if err != nil || got.Code != want.Code || !bytes.Equal(got.Body, want.Body) {
			t.Fatalf("answer %d comes back as %d with %d bytes, %v", want.Code, got.Code, len(got.Body), err)
		}
		buffer = got.Body
	}
	if _, err := ReadAnswer(&stored, buffer, 10); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v", err)
	}
	if _, err := ReadAnswer(bytes.NewReader(whole), nil, 3); !errors.Is(err, ErrTooLarge) {
		t.Errorf("above the limit: %v", err)
	}
	if _, err := ReadAnswer(bytes.NewReader(whole[:7]), nil, 100); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("in the middle: %v", err)
	}
}

func TestMalformedDescriptorsNameTheField(t *testing.T) {
	state := append([]byte{12, 0}, State{Stage: StageFile}.raw()...)
	other := func(at int, value byte) []byte {
		changed := bytes.Clone(state)
		changed[at] = value
		return changed
	}
	for name, body := range map[string][]byte{
		"empty":            {},
		"other version":    other(5, 101),
		"other length":     other(9, 1),
		"unknown type":     other(13, 99),
		"another's fields": other(13, byte(DescriptorFile)),
		"cut":              state[:len(state)-1],
		"longer":           append(bytes.Clone(state), 0),
	} {
		if got, err := ParseDescriptor(body); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// raw is the descriptor of data as a donor makes it.
func (d Data) raw() []byte {
	const size = 12 + 6*4 + 2*8
	big := binary.BigEndian
	var raw []byte
	for _, field := range []uint32{
		descriptorVersion, size, uint32(DescriptorData), uint32(d.Stage), d.Task, d.Chunk, d.Block, d.File, d.Length,
	} {
		raw = big.AppendUint32(raw, field)
	}
	return big.AppendUint64(big.AppendUint64(raw, d.Offset), d.FileSize)
}

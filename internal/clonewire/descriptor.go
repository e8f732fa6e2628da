package clonewire

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// descriptorVersion is that of MySQL since 8.0.17.
const descriptorVersion = 100

// DescriptorKind is what a descriptor describes.
type DescriptorKind uint32

// The kinds of descriptors.
const (
	DescriptorTask  DescriptorKind = 2
	DescriptorState DescriptorKind = 3
	DescriptorFile  DescriptorKind = 4
	DescriptorData  DescriptorKind = 5
)

// Stage is a part of a clone; MySQL calls it a state of the snapshot.
type Stage uint32

// The stages, in the order of a clone. StageDone carries nothing, nor does the
// one before the first, which only ends.
const (
	stageInit Stage = 1
	StageFile Stage = 2
	StagePage Stage = 3
	StageRedo Stage = 4
	StageDone Stage = 5
)

func (s Stage) String() string {
	switch s {
	case stageInit:
		return "initialization"
	case StageFile:
		return "file copy"
	case StagePage:
		return "page copy"
	case StageRedo:
		return "redo copy"
	case StageDone:
		return "done"
	}
	return fmt.Sprintf("stage %d", uint32(s))
}

// Descriptor is the body of an AnswerDescriptor. Of State, File and Data the one
// that Kind names is set; a task's is left as it is.
type Descriptor struct {
	// Engine and Locator say whose it is: the storage engine, and the index of
	// its locator in the donor's opening.
	Engine, Locator byte
	Kind            DescriptorKind
	State           State
	File            File
	Data            Data
	// Raw is the descriptor after Engine and Locator, its header included.
	Raw []byte
}

// State is the begin or the end of a stage.
type State struct {
	Stage Stage
	// Task is the connection, counted from 0, Chunks and Files what the stage has.
	Task, Chunks, Files uint32
	// Estimate is of all bytes to come, DiskEstimate of the disk they take.
	Estimate, DiskEstimate uint64
	Flags                  StateFlags
}

// StateFlags say which of the three uses of a State it is.
type StateFlags uint16

// Flags of a state; without any it is the end of a stage.
const (
	StateStart StateFlags = 1
	StateAck   StateFlags = 2
)

// File describes a file before its data. One whose Stage is the one after the
// running stage says what DDL did to it since.
type File struct {
	Stage Stage
	// Size and Allocated are in bytes.
	Size, Allocated uint64
	SpaceFlags      uint32
	BlockSize       uint32
	Flags           FileFlags
	Space, Index    uint32
	// FirstChunk and LastChunk are the chunks of the stage that are in the file.
	FirstChunk, LastChunk uint32
	// Name is the path within the data directory, or an absolute one.
	Name string
}

// FileFlags say what DDL did to a file, and about its encryption.
type FileFlags uint16

// Flags of a file.
const (
	FileRenamed    FileFlags = 8
	FileDeleted    FileFlags = 16
	FileKeyFollows FileFlags = 32
)

// Data describes the bytes of the AnswerData that follows at once.
type Data struct {
	Stage              Stage
	Task, Chunk, Block uint32
	// File is the Index of the file.
	File uint32
	// Length is that of the data, in bytes; Offset is the place in the file and
	// FileSize the file's size at that moment.
	Length           uint32
	Offset, FileSize uint64
}

// ParseDescriptor reads the body of an AnswerDescriptor; Raw points into it. It
// checks the lengths of all fields and nothing that they say.
func ParseDescriptor(body []byte) (Descriptor, error) {
	f := fields{left: body}
	parsed := Descriptor{
		Engine:  f.byte("engine"),
		Locator: f.byte("index of the locator"),
	}
	parsed.Raw = f.left
	version := f.big32("version")
	length := f.big32("length")
	parsed.Kind = DescriptorKind(f.big32("type"))
	switch {
	case f.err != nil:
		return Descriptor{}, fmt.Errorf("descriptor: %w", f.err)
	case version != descriptorVersion:
		return Descriptor{}, fmt.Errorf("descriptor: %w: version %d in place of %d", ErrMalformed, version, descriptorVersion)
	case uint64(length) != uint64(len(parsed.Raw)):
		return Descriptor{}, fmt.Errorf("descriptor: %w: length %d of %d bytes", ErrMalformed, length, len(parsed.Raw))
	}
	switch parsed.Kind {
	case DescriptorState:
		parsed.State = f.takeState()
	case DescriptorFile:
		parsed.File = f.takeFile()
	case DescriptorData:
		parsed.Data = f.takeData()
	case DescriptorTask:
		f.left = nil
	default:
		return Descriptor{}, fmt.Errorf("descriptor: %w: unknown type %d", ErrMalformed, parsed.Kind)
	}
	if err := f.end(); err != nil {
		return Descriptor{}, fmt.Errorf("descriptor of type %d: %w", parsed.Kind, err)
	}
	return parsed, nil
}

func (f *fields) takeState() State {
	return State{
		Stage:        Stage(f.big32("state")),
		Task:         f.big32("task"),
		Chunks:       f.big32("chunks"),
		Files:        f.big32("files"),
		Estimate:     f.big64("estimate"),
		DiskEstimate: f.big64("estimate of the disk"),
		Flags:        StateFlags(f.big16("flags")),
	}
}

func (f *fields) takeFile() File {
	file := File{
		Stage:      Stage(f.big32("state")),
		Size:       f.big64("size"),
		Allocated:  f.big64("allocated size"),
		SpaceFlags: f.big32("flags of the tablespace"),
		BlockSize:  f.big32("block size"),
		Flags:      FileFlags(f.big16("flags")),
		Space:      f.big32("tablespace"),
		Index:      f.big32("index"),
		FirstChunk: f.big32("first chunk"),
		LastChunk:  f.big32("last chunk"),
	}
	length := f.big32("length of the name")
	name := f.take(int(min(uint64(length), uint64(len(f.left))+1)), "name")
	text, terminated := bytes.CutSuffix(name, []byte{0})
	unterminated := !terminated && length > 0
	if f.err == nil && (unterminated || bytes.IndexByte(text, 0) >= 0) {
		f.err = fmt.Errorf("%w: the name of a file does not end with its only zero byte", ErrMalformed)
	}
	file.Name = string(text)
	return file
}

func (f *fields) takeData() Data {
	return Data{
		Stage:    Stage(f.big32("state")),
		Task:     f.big32("task"),
		Chunk:    f.big32("chunk"),
		Block:    f.big32("block"),
		File:     f.big32("file"),
		Length:   f.big32("length"),
		Offset:   f.big64("offset"),
		FileSize: f.big64("size of the file"),
	}
}

// raw is the descriptor of a state, with its header and without its engine.
func (s State) raw() []byte {
	const size = 12 + 4*4 + 2*8 + 2
	big := binary.BigEndian
	raw := make([]byte, 0, size)
	for _, field := range []uint32{descriptorVersion, size, uint32(DescriptorState), uint32(s.Stage), s.Task, s.Chunks, s.Files} {
		raw = big.AppendUint32(raw, field)
	}
	raw = big.AppendUint64(raw, s.Estimate)
	raw = big.AppendUint64(raw, s.DiskEstimate)
	return big.AppendUint16(raw, uint16(s.Flags))
}

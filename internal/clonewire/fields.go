package clonewire

import (
	"encoding/binary"
	"fmt"
)

// fields takes fields from the front of a message. After the first one that is
// not there all others are zero, and err says which it was.
type fields struct {
	left []byte
	err  error
}

func (f *fields) take(count int, name string) []byte {
	if f.err == nil && (count < 0 || count > len(f.left)) {
		f.err = fmt.Errorf("%w: %s wants %d bytes of %d", ErrMalformed, name, count, len(f.left))
	}
	if f.err != nil {
		return nil
	}
	taken := f.left[:count:count]
	f.left = f.left[count:]
	return taken
}

func (f *fields) byte(name string) byte {
	if taken := f.take(1, name); taken != nil {
		return taken[0]
	}
	return 0
}

func (f *fields) little32(name string) uint32 {
	if taken := f.take(4, name); taken != nil {
		return binary.LittleEndian.Uint32(taken)
	}
	return 0
}

func (f *fields) big16(name string) uint16 {
	if taken := f.take(2, name); taken != nil {
		return binary.BigEndian.Uint16(taken)
	}
	return 0
}

func (f *fields) big32(name string) uint32 {
	if taken := f.take(4, name); taken != nil {
		return binary.BigEndian.Uint32(taken)
	}
	return 0
}

func (f *fields) big64(name string) uint64 {
	if taken := f.take(8, name); taken != nil {
		return binary.BigEndian.Uint64(taken)
	}
	return 0
}

// counted is a field whose length stands before it, little-endian.
func (f *fields) counted(name string) []byte {
	length := f.little32("length of " + name)
	if uint64(length) > uint64(len(f.left)) {
		f.take(len(f.left)+1, name)
		return nil
	}
	return f.take(int(length), name)
}

// end returns the first error; bytes that are left over are one.
func (f *fields) end() error {
	if f.err == nil && len(f.left) > 0 {
		return fmt.Errorf("%w: %d bytes after the last field", ErrMalformed, len(f.left))
	}
	return f.err
}

package process

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pidOf reads si_pid, which x/sys leaves in the union behind the three leading ints and,
// on 64-bit machines, their padding.
func pidOf(info *unix.Siginfo) int {
	raw := unsafe.Slice((*byte)(unsafe.Pointer(info)), unsafe.Sizeof(*info))
	offset := 12
	if unsafe.Sizeof(uintptr(0)) == 8 {
		offset = 16
	}
	return int(int32(binary.NativeEndian.Uint32(raw[offset:])))
}

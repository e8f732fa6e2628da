// Package sealed writes and reads the bodies of objects in a store: compressed by zstd and, if
// there are recipients, encrypted by age. A body that is encrypted is not read without an
// identity of one of its recipients. That a body is the one that was written is for its reader to
// check, by the checksum that was kept of it.
package sealed

// Package volume is what an agent keeps on its member's volume, beside the data: a lock,
// the identity of the data, and what the authority machine must find again.
//
// Every write goes to a file of another name, is fsynced, renamed, and the directory
// fsynced, so that a crash leaves the old content or the new one. The package refuses to
// read a volume as empty when it is not: content without an identity is ErrForeign. Binary logs on
// a volume of their own are bound to the data by an identity there, and by a note on the data's
// volume of how far they reached: data without its own binary logs is ErrBinlogsLost.
package volume

package clonewire

import (
	"encoding/binary"
	"fmt"
)

const (
	// protocolVersion is the one that this package asks for and answers with.
	protocolVersion = 0x0102
	// comClone is the command that turns a connection into one of a clone.
	comClone = 32
	// noBackupLock is set in the DDL timeout of a recipient that wants none.
	noBackupLock = 1 << 31
)

// commandCode is the first byte of what a recipient sends.
type commandCode byte

const (
	commandInit    commandCode = 1
	commandAttach  commandCode = 2
	commandReinit  commandCode = 3
	commandExecute commandCode = 4
	commandAck     commandCode = 5
	commandExit    commandCode = 6
)

// opening is the body of INIT, ATTACH and REINIT; INIT has no locators.
type opening struct {
	version    uint32
	ddlTimeout uint32 // seconds
	backupLock bool
	locators   []Locator
}

func (o opening) encode() []byte {
	timeout := o.ddlTimeout
	if !o.backupLock {
		timeout |= noBackupLock
	}
	message := binary.LittleEndian.AppendUint32(nil, o.version)
	message = binary.LittleEndian.AppendUint32(message, timeout)
	return appendLocators(message, o.locators)
}

func parseOpening(body []byte) (opening, error) {
	f := fields{left: body}
	version := f.little32("version")
	timeout := f.little32("DDL timeout")
	parsed := opening{
		version:    version,
		ddlTimeout: timeout &^ noBackupLock,
		backupLock: f.err == nil && timeout&noBackupLock == 0,
		locators:   f.takeLocators(),
	}
	return parsed, f.end()
}

// ack is what a recipient says about the end of a stage.
type ack struct {
	failure    uint32 // 0, or the recipient's error
	locator    Locator
	descriptor []byte
}

func (a ack) encode() []byte {
	message := binary.LittleEndian.AppendUint32(nil, a.failure)
	message = appendLocators(message, []Locator{a.locator})
	message = binary.LittleEndian.AppendUint32(message, uint32(len(a.descriptor)))
	return append(message, a.descriptor...)
}

func parseAck(body []byte) (ack, error) {
	f := fields{left: body}
	parsed := ack{
		failure: f.little32("error"),
		locator: Locator{
			Engine: f.byte("engine of the locator"),
			Value:  f.counted("locator"),
		},
		descriptor: f.counted("descriptor"),
	}
	return parsed, f.end()
}

// splitCommand takes a recipient's message apart.
func splitCommand(message []byte) (code commandCode, body []byte, err error) {
	if len(message) == 0 {
		return 0, nil, fmt.Errorf("%w: empty command", ErrMalformed)
	}
	code = commandCode(message[0])
	if code < commandInit || code > commandExit {
		return 0, nil, fmt.Errorf("%w: unknown command %d", ErrMalformed, code)
	}
	return code, message[1:], nil
}

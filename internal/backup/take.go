package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"github.com/dbpair/dbpair/internal/clonewire"
)

// Donor is a running mysqld.
type Donor interface {
	// State reads what a manifest says of the server, and gtid_executed.
	State(ctx context.Context) (State, error)
	// Clone streams all data of the server into a recorder. It returns nil only after
	// Finish has.
	Clone(ctx context.Context, recorder clonewire.Recorder) error
}

// State is that of a server at one moment.
type State struct {
	Server
	GTIDExecuted string
}

// TakeOptions say where a backup goes.
type TakeOptions struct {
	// ID is made by NewID.
	ID string
	// Recipients can decrypt the backup; without any it is not encrypted.
	Recipients []age.Recipient
	// Now is the clock.
	Now func() time.Time
}

// Take streams a server's data into the store and returns the manifest that it wrote last.
// It blocks while the store cannot be reached, until ctx ends. After an error there is no
// backup of this ID; objects that were written go with Remove after a day. It cannot be
// repeated with the same ID.
func Take(ctx context.Context, objects Objects, donor Donor, options TakeOptions) (Manifest, error) {
	if err := CheckID(options.ID); err != nil {
		return Manifest{}, err
	}
	started := options.Now()
	before, err := donor.State(ctx)
	if err != nil {
		return Manifest{}, fmt.Errorf("read the server's state: %w", err)
	}
	upload := uploader{
		objects: objects,
		sleep:   sleep,
	}
	recorder := newRecorder(options.ID, upload, options.Recipients)
	if err := donor.Clone(ctx, recorder); err != nil {
		return Manifest{}, fmt.Errorf("clone: %w", err)
	}
	if !recorder.finished {
		return Manifest{}, errors.New("clone: it ended before the recording was whole")
	}
	after, err := donor.State(ctx)
	if err != nil {
		return Manifest{}, fmt.Errorf("read the server's state: %w", err)
	}
	if after.UUID != before.UUID {
		return Manifest{}, fmt.Errorf("the address led to server %s before and to %s after the clone", before.UUID, after.UUID)
	}
	m := Manifest{
		Version:    formatVersion,
		ID:         options.ID,
		Started:    started.UTC(),
		Finished:   options.Now().UTC(),
		Server:     before.Server,
		GTIDBefore: before.GTIDExecuted,
		GTIDAfter:  after.GTIDExecuted,
		Encrypted:  len(options.Recipients) > 0,
		Objects:    recorder.written.objects,
		Stored:     recorder.written.stored,
		Raw:        recorder.written.raw,
		Lists:      recorder.written.lists,
	}
	text, err := m.encode()
	if err != nil {
		return Manifest{}, err
	}
	if err := upload.put(ctx, keyOf(m.ID, manifestName), text); err != nil {
		return Manifest{}, err
	}
	return decodeManifest(text)
}

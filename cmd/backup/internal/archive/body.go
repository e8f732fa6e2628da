package archive

import (
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/dbpair/dbpair/internal/sealed"
	"github.com/dbpair/dbpair/internal/store"
)

const (
	// rawLimit is how many uncompressed bytes one segment holds. It is also when a segment is
	// written before its time.
	rawLimit = 8 << 20
	// packLimit is how many uncompressed bytes the segments of a pack have together.
	packLimit = 256 << 20
	// packSize is how many bytes a pack has at most as it is stored, its header not counted.
	packSize = store.MaxSize - headerLimit - 1<<10
)

// unseal writes the binary log in a body to out. It reads no more than the header says.
func unseal(h Header, body []byte, identities []age.Identity, out io.Writer) error {
	if h.Raw == 0 {
		return nil
	}
	in, err := sealed.NewReader(body, h.Encrypted, identities, rawLimit)
	if errors.Is(err, sealed.ErrNoIdentity) {
		return ErrNoIdentity
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	count, err := io.Copy(out, io.LimitReader(in, h.Raw+1))
	if err != nil {
		return err
	}
	if count != h.Raw {
		return fmt.Errorf("it has other than the %d bytes that its header says", h.Raw)
	}
	return nil
}

// ErrNoIdentity says that an encrypted archive was opened without an identity.
var ErrNoIdentity = errors.New("the archive is encrypted: name the file of an age identity")

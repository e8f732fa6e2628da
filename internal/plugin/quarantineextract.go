package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// extractQuarantine copies the files of an entry. A file gets its name once its size and its
// checksum are those that the agent has computed on the volume.
func (s *session) extractQuarantine(ctx context.Context, c cluster, r quarantineRequest) error {
	var entry agentapi.QuarantineEntry
	if err := c.askQuarantine(ctx, r.member, &entry, "list", "--", r.entry); err != nil {
		return err
	}
	if err := os.MkdirAll(r.extract, 0o700); err != nil {
		return fmt.Errorf("--extract: %w", err)
	}
	root, err := os.OpenRoot(r.extract)
	if err != nil {
		return fmt.Errorf("--extract: %w", err)
	}
	defer root.Close()
	for _, file := range entry.Files {
		if err := mayExtract(root, file.Name); err != nil {
			return fmt.Errorf("--extract: nothing was copied: %w", err)
		}
	}
	for _, file := range entry.Files {
		if err := c.extractFile(ctx, root, r, file); err != nil {
			return fmt.Errorf("%s: file %q of entry %q: %w", r.member, file.Name, r.entry, err)
		}
		path := printable(filepath.Join(r.extract, file.Name))
		if _, err := fmt.Fprintf(s.streams.Out, "%s  %s  sha256 %s\n", path, sizeText(file.Bytes), file.SHA256); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(s.streams.Out, "%d files were copied and verified\n", len(entry.Files))
	return err
}

// mayExtract refuses names that lead elsewhere and those that are taken.
func mayExtract(root *os.Root, name string) error {
	if !filepath.IsLocal(name) || printable(name) != name {
		return fmt.Errorf("the name %q may lead out of the directory", name)
	}
	for _, taken := range []string{name, name + partEnding} {
		if _, err := root.Lstat(taken); err == nil {
			return fmt.Errorf("%s is there already: name an empty directory", filepath.Join(root.Name(), taken))
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// partEnding is that of a file that is not verified yet.
const partEnding = ".part"

func (c cluster) extractFile(ctx context.Context, root *os.Root, r quarantineRequest, file agentapi.QuarantineFile) error {
	if err := root.MkdirAll(filepath.Dir(file.Name), 0o700); err != nil {
		return err
	}
	part := file.Name + partEnding
	to, err := root.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = stream(ctx, c.execer, quarantineOf(c, r.member, "cat", "--", r.entry, file.Name), func(from io.Reader) error {
		return verifiedCopy(to, from, file)
	})
	err = errors.Join(err, to.Close())
	if err == nil {
		err = root.Rename(part, file.Name)
	}
	if err != nil {
		_ = root.Remove(part)
	}
	return err
}

// verifiedCopy copies no more than the file has.
func verifiedCopy(to io.Writer, from io.Reader, file agentapi.QuarantineFile) error {
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(to, sum), io.LimitReader(from, file.Bytes+1))
	if err != nil {
		return err
	}
	if size != file.Bytes {
		return fmt.Errorf("%d bytes came where it has %d: try again", size, file.Bytes)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != file.SHA256 {
		return fmt.Errorf("its checksum is %s where the member's is %s: try again", got, file.SHA256)
	}
	return nil
}

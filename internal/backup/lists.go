package backup

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// listLimit is how many objects one list names: about a mebibyte, compressed.
const listLimit = 10_000

// listMemory bounds what a list unpacks to.
const listMemory = 64 << 20

func listName(number int) string { return fmt.Sprintf("objects-%05d.json.zst", number) }

func encodeList(entries []Object) ([]byte, error) {
	text, err := json.Marshal(entries)
	if err != nil {
		return nil, err
	}
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer packer.Close()
	return packer.EncodeAll(text, nil), nil
}

func decodeList(content []byte) ([]Object, error) {
	unpacker, err := zstd.NewReader(bytes.NewReader(content), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(listMemory))
	if err != nil {
		return nil, err
	}
	defer unpacker.Close()
	var entries []Object
	if err := json.NewDecoder(unpacker).Decode(&entries); err != nil {
		return nil, err
	}
	return entries, nil
}

// readLists returns all objects of a backup in the order in which a clone reads them, and
// the opening first. It fails when their number is not the manifest's.
func readLists(ctx context.Context, objects Objects, m Manifest) ([]Object, error) {
	var all []Object
	for _, list := range m.Lists {
		content, err := fetch(ctx, objects, m.ID, list)
		if err != nil {
			return nil, err
		}
		entries, err := decodeList(content)
		if err != nil {
			return nil, &DamagedError{
				Key:    keyOf(m.ID, list.Key),
				Reason: err.Error(),
			}
		}
		all = append(all, entries...)
	}
	if len(all) != m.Objects {
		return nil, &DamagedError{
			Key:    keyOf(m.ID, manifestName),
			Reason: fmt.Sprintf("it says %d objects, its lists name %d", m.Objects, len(all)),
		}
	}
	slices.SortFunc(all, func(a, b Object) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Sequence, b.Sequence))
	})
	return all, nil
}

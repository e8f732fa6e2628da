package job

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/jobapi"
)

// ConfigMaps is the part of the typed client that a Job uses.
type ConfigMaps interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.ConfigMap, error)
	Patch(ctx context.Context, name string, t types.PatchType, data []byte, o metav1.PatchOptions, sub ...string) (*corev1.ConfigMap, error)
}

// Sizes of what is kept; an object of the API holds less than 1.5 MiB.
const (
	maxPlainReport = 200 << 10
	maxReport      = 400 << 10
	maxState       = 400 << 10
)

// board is the Job's ConfigMap.
type board struct {
	api  ConfigMaps
	name string
}

// found is what stands in it at the start.
type found struct {
	progress jobapi.Progress
	done     bool
	state    []byte // empty for none
}

func (b board) read(ctx context.Context) (found, error) {
	var out found
	m, err := b.api.Get(ctx, b.name, metav1.GetOptions{})
	if err != nil {
		return out, fmt.Errorf("read ConfigMap %s: %w", b.name, err)
	}
	_, out.done = m.Data[jobapi.KeyResult]
	// What cannot be read is begun again.
	_ = json.Unmarshal([]byte(m.Data[jobapi.KeyProgress]), &out.progress)
	if packed := m.BinaryData[jobapi.KeyState]; len(packed) > 0 {
		out.state, _ = unpack(packed)
	}
	return out, nil
}

// change is what is written at once; nil fields stay as they are.
type change struct {
	progress *jobapi.Progress
	result   *jobapi.Result
	report   any
	state    any
}

// write blocks until the API server has it. State and report that are too large are left
// out: the state costs a beginning from the start, the report says so in its place.
func (b board) write(ctx context.Context, c change) error {
	data := map[string]string{}
	binary := map[string][]byte{}
	var errs []error
	text := func(key string, value any) {
		body, err := json.Marshal(value)
		errs = append(errs, err)
		data[key] = string(body)
	}
	if c.progress != nil {
		text(jobapi.KeyProgress, c.progress)
	}
	if c.result != nil {
		text(jobapi.KeyResult, c.result)
	}
	if c.state != nil {
		packed, err := pack(c.state)
		errs = append(errs, err)
		if len(packed) <= maxState {
			binary[jobapi.KeyState] = packed
		}
	}
	if c.report != nil {
		body, err := json.MarshalIndent(c.report, "", "  ")
		errs = append(errs, err)
		if len(body) <= maxPlainReport {
			data[jobapi.KeyReport] = string(body)
		} else if packed, err := pack(c.report); err != nil || len(packed) > maxReport {
			data[jobapi.KeyReport] = fmt.Sprintf(`{"tooLarge": %d}`, len(body))
		} else {
			binary[jobapi.KeyReportCompressed] = packed
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("encode for ConfigMap %s: %w", b.name, err)
	}
	patch, err := json.Marshal(map[string]any{"data": data, "binaryData": binary})
	if err != nil {
		return fmt.Errorf("encode for ConfigMap %s: %w", b.name, err)
	}
	if _, err := b.api.Patch(ctx, b.name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", b.name, err)
	}
	return nil
}

func pack(value any) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	err := errors.Join(json.NewEncoder(w).Encode(value), w.Close())
	return out.Bytes(), err
}

// maxUnpacked bounds a state that was unpacked: a small one can be made to unpack to more than
// the Job's memory.
const maxUnpacked = 64 << 20

// errTooLarge is returned for what unpacks to more than the limit.
var errTooLarge = errors.New("it is too large when it is unpacked")

func unpack(packed []byte) ([]byte, error) { return unpackWithin(packed, maxUnpacked) }

// unpackWithin returns all of what was packed, or an error and nothing.
func unpackWithin(packed []byte, limit int64) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	// One byte more than may be, so that a text above the limit differs from one at the limit.
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("unpack: %w", err)
	case int64(len(out)) > limit:
		return nil, fmt.Errorf("unpack: %w: more than %d bytes", errTooLarge, limit)
	}
	return out, nil
}

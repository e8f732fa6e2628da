package main

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/jobapi"
)

// configMaps is the part of the typed client that a Job uses.
type configMaps interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.ConfigMap, error)
	Patch(ctx context.Context, name string, t types.PatchType, data []byte, o metav1.PatchOptions, sub ...string) (*corev1.ConfigMap, error)
}

// board is the ConfigMap in which a Job says how far it is and how it ended.
type board struct {
	api  configMaps
	name string
}

// read returns the progress of the pods before this one, and whether there is a result already.
func (b board) read(ctx context.Context) (before jobapi.Progress, done bool, err error) {
	m, err := b.api.Get(ctx, b.name, metav1.GetOptions{})
	if err != nil {
		return before, false, fmt.Errorf("read ConfigMap %s: %w", b.name, err)
	}
	_, done = m.Data[jobapi.KeyResult]
	if text, ok := m.Data[jobapi.KeyProgress]; ok {
		if err := json.Unmarshal([]byte(text), &before); err != nil {
			return before, done, fmt.Errorf("read %s of ConfigMap %s: %w", jobapi.KeyProgress, b.name, err)
		}
	}
	return before, done, nil
}

// write puts values under their keys and blocks until the API server has them.
func (b board) write(ctx context.Context, values map[string]any) error {
	data := map[string]string{}
	for key, value := range values {
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("encode %s for ConfigMap %s: %w", key, b.name, err)
		}
		data[key] = string(text)
	}
	patch, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return fmt.Errorf("encode for ConfigMap %s: %w", b.name, err)
	}
	if _, err := b.api.Patch(ctx, b.name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", b.name, err)
	}
	return nil
}

package archive

import (
	"context"
	"sync"

	"github.com/dbpair/dbpair/internal/store"
)

// lastPack is the pack that was read last in place of objects that were put into it after the catalog
// was read: the next one is in it, too. It is safe for concurrent use.
type lastPack struct {
	mu          sync.Mutex
	key         string
	first, last uint64
	content     []byte
}

func (p *lastPack) has(h Header) bool {
	return p.key != "" && p.first <= h.First && h.Last <= p.last
}

// get reads an object. One that is gone may have been put into a pack meanwhile: then it is that.
func (a *Archive) get(ctx context.Context, object Object) (key string, content []byte, err error) {
	content, err = a.objects.Get(ctx, object.Key)
	if store.ClassOf(err) != store.NotFound {
		return object.Key, content, err
	}
	p := &a.packed
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.has(object.Header) {
		if err := a.findPack(ctx, object.Header); err != nil {
			return object.Key, nil, err
		}
	}
	if !p.has(object.Header) {
		return object.Key, nil, damaged(object.Key, "it is missing")
	}
	return p.key, p.content, nil
}

// findPack reads the pack that an object was put into, if there is one.
func (a *Archive) findPack(ctx context.Context, h Header) error {
	key := ""
	var first, last uint64
	err := a.objects.List(ctx, folder, func(info store.Info) error {
		from, to, ok := parseKey(info.Key)
		if ok && from < to && from <= h.First && h.Last <= to {
			key = info.Key
			first = from
			last = to
		}
		return nil
	})
	if err != nil || key == "" {
		return err
	}
	content, err := a.objects.Get(ctx, key)
	if store.ClassOf(err) == store.NotFound {
		return damaged(key, "it is missing")
	}
	if err != nil {
		return err
	}
	a.packed.key = key
	a.packed.first = first
	a.packed.last = last
	a.packed.content = content
	return nil
}

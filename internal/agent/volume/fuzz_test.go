package volume

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzIdentity: whatever the identity file holds, it is read as it is written, or refused as
// unreadable; it is never taken for an empty volume.
func FuzzIdentity(f *testing.F) {
	f.Add(`{"namespace":"ns","pair":"shop","member":"shop-0","pairUID":"u","dataID":"d","void":true,"making":"e"}`)
	f.Add(`{}`)
	f.Add(`null`)
	f.Add(``)
	f.Add(`{"member":"shop-0"`)
	f.Fuzz(func(t *testing.T, text string) {
		v := Open(t.TempDir(), "")
		write(t, v.identityFile(), text)
		id, found, err := v.ReadIdentity()
		if err != nil {
			if !errors.Is(err, ErrUnreadable) {
				t.Errorf("%q: %v, want ErrUnreadable", text, err)
			}
			return
		}
		if !found {
			t.Fatalf("%q: taken for an empty volume", text)
		}
		if err := v.WriteIdentity(id); err != nil {
			t.Fatal(err)
		}
		again, found, err := v.ReadIdentity()
		if diff := cmp.Diff(id, again); err != nil || !found || diff != "" {
			t.Errorf("%q: read again: %t, %v\n%s", text, found, err, diff)
		}
	})
}

// FuzzMemory is the same for the epoch file.
func FuzzMemory(f *testing.F) {
	f.Add(`{"dataID":"data-0","known":7,"holder":{"Member":"shop-0","PodUID":"uid-0"},"ledger":3,"openAt":7,"tailCommitted":true,"receiverStopped":6}`)
	f.Add(`{"seen":{"epoch":1,"version":2,"state":"both","incarnations":{"shop-0":"i"}}}`)
	f.Add(`{"known":9223372036854775808}`)
	f.Add(`[]`)
	f.Add(``)
	f.Fuzz(func(t *testing.T, text string) {
		v := Open(t.TempDir(), "")
		write(t, v.epochFile(), text)
		memory, found, err := v.ReadMemory()
		if err != nil {
			if !errors.Is(err, ErrUnreadable) {
				t.Errorf("%q: %v, want ErrUnreadable", text, err)
			}
			return
		}
		if !found {
			t.Fatalf("%q: taken for a volume that knows no epoch", text)
		}
		if err := v.WriteMemory(memory); err != nil {
			t.Fatal(err)
		}
		again, found, err := v.ReadMemory()
		if err != nil || !found || again.Durable != memory.Durable {
			t.Errorf("%q: read again: %t, %v, %+v and %+v", text, found, err, memory, again)
		}
	})
}
